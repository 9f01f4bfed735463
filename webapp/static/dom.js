// Short names for what every module does with the document.

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** Whether the user asked for less motion. */
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * A new element; text goes in as text, never as HTML.
 * @param {string} tag
 * @param {Object<string, string>} [attributes]
 * @param {string} [text]
 */
export function make(tag, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

/** Scroll until an element can be seen, no further. */
export function bringIntoView(element) {
  element.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
}
