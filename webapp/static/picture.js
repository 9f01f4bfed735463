// A picture made ready to send: upright, not larger than needed, as a data URL.

import { Trouble } from "./api.js";

/** Longest side in pixels: far more than recognising a face needs, little to send. */
const LONGEST_SIDE = 1600;
/** A file up to this size, in bytes, goes as it is if its sides are short enough. */
const SMALL_BYTES = 2e6;
/** What the server takes, in bytes. */
const LARGEST_BYTES = 10 * 2 ** 20;
const JPEG_QUALITY = 0.9;
/** Brands of HEIF files with HEVC pictures (ISO/IEC 23008-12, annex B). */
const HEIC_BRANDS = ["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"];

/**
 * @typedef {Object} Picture
 * @property {string} image data URL to send
 * @property {?Blob} preview what the browser can show, null if it cannot
 * @property {boolean} heic whether it is a HEIC file
 */

/**
 * Prepare a file; what the browser cannot decode goes unchanged, and the server explains.
 * @param {Blob} file
 * @returns {Promise<Picture>}
 * @throws {Trouble} the file cannot be read, or is too large for the server
 */
export async function prepare(file) {
  let bitmap = null;
  const heic = await isHeic(file);
  try {
    // Turns the picture upright by its EXIF orientation, which a canvas would lose.
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    if (file.size > LARGEST_BYTES) throw new Trouble("too-large");
    return { image: await dataUrl(heic ? typed(file, "image/heic") : file), preview: null, heic };
  }
  const fits = Math.max(bitmap.width, bitmap.height) <= LONGEST_SIDE;
  const blob = fits && file.size <= SMALL_BYTES ? file : await draw(bitmap, LONGEST_SIDE);
  bitmap.close();
  return { image: await dataUrl(blob), preview: blob, heic };
}

/**
 * Draw a picture, or a frame of a video, as a JPEG.
 * @param {ImageBitmap|HTMLVideoElement} source
 * @param {number} side longest side of the result at most, in pixels
 * @param {number} [quality] of the JPEG, 0 to 1
 * @returns {Promise<Blob>}
 */
export function draw(source, side, quality = JPEG_QUALITY) {
  const [width, height] = [source.videoWidth ?? source.width, source.videoHeight ?? source.height];
  const scale = Math.min(1, side / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d", { alpha: false });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // JPEG has no transparency
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Trouble("bad-image"))),
      "image/jpeg",
      quality,
    );
  });
}

/** @returns {Promise<string>} a data URL (RFC 2397) */
export function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Trouble("unreadable"));
    reader.readAsDataURL(blob);
  });
}

/** Whether a file is HEIC by its first bytes; its name and type are often missing. */
async function isHeic(file) {
  let head;
  try {
    head = new TextDecoder("latin1").decode(await file.slice(4, 12).arrayBuffer());
  } catch {
    throw new Trouble("unreadable");
  }
  return head.startsWith("ftyp") && HEIC_BRANDS.includes(head.slice(4));
}

const typed = (file, type) => new Blob([file], { type });
