// The frame that holds a hint, the photo, or the picture of the camera.

import { $ } from "./dom.js";
import { clear } from "./faces.js";

/** Show the place to drop a photo. */
export function showHint() {
  show("hint");
}

/**
 * Show a photo.
 * @param {?Blob} blob null where the browser cannot show it
 */
export function showPhoto(blob) {
  show(blob ? "photo" : "unshown");
  if (blob) $("photo").src = URL.createObjectURL(blob);
}

/** Show the video. */
export function showVideo() {
  show("video");
}

/** Give a picture that cannot be shown its true shape, so that the boxes fit. */
export function shape(width, height) {
  $("unshown").style.aspectRatio = `${width} / ${height}`;
}

function show(id) {
  clear();
  // An address of a blob keeps it in memory until it is given back.
  if ($("photo").src) {
    URL.revokeObjectURL($("photo").src);
    $("photo").removeAttribute("src");
  }
  for (const part of ["hint", "photo", "unshown", "video"]) $(part).hidden = part !== id;
  $("frame").dataset.shows = id;
}
