// A box for each face over the photo or the video.

import { $, make } from "./dom.js";
import { percent, t } from "./texts.js";

/** Boxes narrower than this, in pixels, have thin lines, or nothing of the face would be left. */
const SMALL = 48;

/** Two sides as percentages of the whole; a face may reach beyond the photo, its box does not. */
const within = (from, to, whole) =>
  [from, to].map((side) => (100 * Math.min(Math.max(side, 0), whole)) / whole);

/**
 * Draw the boxes.
 * @param {import("./api.js").Answer} answer
 * @param {number} chosen index of the face that Shelly talks about
 * @param {(index: number) => void} choose called when another one is tapped
 */
export function mark({ people, width, height }, chosen, choose) {
  const boxes = $("faces");
  // One face leaves nothing to choose, and a keyboard need not stop there.
  const tag = people.length > 1 ? "button" : "span";
  const fresh = people.length !== boxes.children.length || boxes.firstChild?.localName !== tag;
  if (fresh) {
    boxes.replaceChildren(
      ...people.map((_, index) => {
        const box = make(tag, { class: "box", ...(tag === "button" && { type: "button" }) });
        if (tag === "button") box.addEventListener("click", () => choose(index));
        return box;
      }),
    );
  }
  people.forEach(({ box: [x0, y0, x1, y1], emotion, score }, index) => {
    const box = boxes.children[index];
    // Watson's servers do not tell where a face is: the box is the whole photo.
    box.hidden = x0 <= 0 && y0 <= 0 && x1 >= width && y1 >= height;
    const [left, right] = within(x0, x1, width);
    const [top, bottom] = within(y0, y1, height);
    box.style.left = `${left}%`;
    box.style.top = `${top}%`;
    box.style.width = `${right - left}%`;
    box.style.height = `${bottom - top}%`;
    box.classList.toggle("small", ((right - left) / 100) * boxes.clientWidth < SMALL);
    box.classList.toggle("chosen", index === chosen);
    if (tag === "span") return;
    box.setAttribute("aria-pressed", index === chosen);
    box.setAttribute(
      "aria-label",
      t("seen.face", {
        number: index + 1,
        count: people.length,
        mood: t(`mood.${emotion}`),
        score: percent(score),
      }),
    );
  });
}

/** Remove the boxes. */
export const clear = () => $("faces").replaceChildren();
