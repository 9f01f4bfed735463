// A box for each face over the photo or the video.

import { $, make } from "./dom.js";
import { percent, t } from "./texts.js";

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
    box.style.left = `${(100 * x0) / width}%`;
    box.style.top = `${(100 * y0) / height}%`;
    box.style.width = `${(100 * (x1 - x0)) / width}%`;
    box.style.height = `${(100 * (y1 - y0)) / height}%`;
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
