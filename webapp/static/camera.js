// The camera: opening it, and letting go of it.

import { Trouble } from "./api.js";

/** Names of errors of getUserMedia (W3C Media Capture and Streams, 10.2.1). */
const TROUBLES = {
  NotAllowedError: "camera-denied",
  SecurityError: "camera-denied",
  NotFoundError: "camera-missing",
  OverconstrainedError: "camera-missing",
  NotReadableError: "camera-busy",
  AbortError: "camera-busy",
};

/** Browsers lend the camera only to https and to this machine; a phone can still take a photo. */
export const lent = () => Boolean(navigator.mediaDevices?.getUserMedia);

/**
 * Show the camera's picture in a video.
 * @param {HTMLVideoElement} video
 * @param {() => boolean} wanted whether it still is: users change their minds while it opens
 * @param {() => void} lost called when the camera goes away by itself
 * @returns {Promise<boolean>} whether it is shown
 * @throws {Trouble} it is not allowed, not there, or in use
 */
export async function open(video, wanted, lost) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 } },
    });
    if (wanted()) {
      video.srcObject = stream;
      await video.play();
    }
  } catch (error) {
    release(stream);
    throw new Trouble(TROUBLES[error.name] ?? "camera-missing");
  }
  if (wanted()) {
    for (const track of stream.getTracks()) track.addEventListener("ended", lost);
    return true;
  }
  release(stream);
  if (video.srcObject === stream) video.srcObject = null;
  return false;
}

/** Switch the camera off. */
export function close(video) {
  release(video.srcObject);
  video.srcObject = null;
}

/** Give a stream back; the camera's light stays on until each has been. */
function release(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
