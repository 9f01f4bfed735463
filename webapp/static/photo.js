// A photo chosen by the user, made ready to send.

// The server takes 10 MiB; larger photos are made smaller here, which keeps a margin.
const LARGE_BYTES = 9e6;
// Longest side in pixels after that: far more than recognising a face needs.
const SHRUNK_SIDE = 2048;
const JPEG_QUALITY = 0.9;

// Some systems do not know these file types, and then the browser names none.
const TYPES = { heic: "image/heic", heif: "image/heif" };

/** The photo as a data URL, below the size that the server accepts where that is possible. */
export async function photoAsDataUrl(file) {
  let blob = file;
  if (file.size > LARGE_BYTES) {
    // A picture that the browser cannot decode goes as it is: the server explains.
    blob = await shrink(file).catch(() => file);
  } else if (file.type === "") {
    const type = TYPES[file.name.split(".").pop().toLowerCase()];
    blob = type ? new Blob([file], { type }) : file;
  }
  return readAsDataUrl(blob);
}

async function shrink(file) {
  // "from-image" turns the picture upright by its EXIF orientation, which a canvas loses.
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, SHRUNK_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // JPEG has no transparency
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error("no JPEG"))),
      "image/jpeg",
      JPEG_QUALITY,
    );
  });
}

function readAsDataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
