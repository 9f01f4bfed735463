// A picture made ready to send: upright, not larger than needed, as a data URL.

import { Trouble } from "./api.js";

/** Longest side in pixels: far more than recognising a face needs, little to send. */
const LONGEST_SIDE = 1600;
/** A file up to this size, in bytes, goes as it is if its sides are short enough. */
const SMALL_BYTES = 2e6;
/** What the server takes, in bytes. */
const LARGEST_BYTES = 10 * 2 ** 20;
const JPEG_QUALITY = 0.9;
/** Formats that a browser may hand over as they are: others may move, or have another type. */
const STILL = ["image/jpeg", "image/png"];
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
  const heic = await isHeic(file);
  const address = URL.createObjectURL(file);
  try {
    const picture = await decode(address);
    if (picture) {
      const blob = goesAsItIs(file, picture) ? file : await draw(picture, LONGEST_SIDE);
      return { image: await dataUrl(blob), preview: blob, heic };
    }
  } finally {
    URL.revokeObjectURL(address);
  }
  if (file.size > LARGEST_BYTES) throw new Trouble("too-large");
  return { image: await dataUrl(heic ? typed(file, "image/heic") : file), preview: null, heic };
}

/**
 * The picture at an address, upright by its EXIF orientation, or null if it cannot be decoded.
 * An image element does so in every browser; what createImageBitmap does with the orientation
 * differs from one to the other.
 */
async function decode(address) {
  const picture = new Image();
  picture.src = address;
  try {
    await picture.decode();
  } catch {
    return null;
  }
  return picture.naturalWidth > 0 ? picture : null;
}

function goesAsItIs({ size, type }, { naturalWidth, naturalHeight }) {
  const fits = Math.max(naturalWidth, naturalHeight) <= LONGEST_SIDE;
  return fits && size <= SMALL_BYTES && STILL.includes(type);
}

/**
 * Draw a picture, or a frame of a video, as a JPEG.
 * @param {HTMLImageElement|HTMLVideoElement} source
 * @param {number} side longest side of the result at most, in pixels
 * @param {number} [quality] of the JPEG, 0 to 1
 * @returns {Promise<Blob>}
 * @throws {Trouble} there is nothing to draw, or the browser cannot
 */
export async function draw(source, side, quality = JPEG_QUALITY) {
  const width = source.videoWidth ?? source.naturalWidth;
  const height = source.videoHeight ?? source.naturalHeight;
  if (!width || !height) throw new Trouble("bad-image");
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
