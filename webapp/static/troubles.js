// What went wrong, in words for the reader.

import { has, t } from "./texts.js";

/**
 * A sentence or two.
 * @param {import("./api.js").Trouble} trouble
 * @param {{title: string}} backend who was asked
 * @param {boolean} [heic] whether the picture was a HEIC file
 */
export function explain(trouble, backend, heic = false) {
  let { code } = trouble;
  if (heic && ["bad-image", "bad-type"].includes(code)) code = "heic";
  if (code.startsWith("foreign-")) code = "foreign";
  const key = `trouble.${code}`;
  return t(has(key) ? key : "trouble.general-error", { name: backend.title });
}
