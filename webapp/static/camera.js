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
 * @param {() => void} lost called when the camera goes away by itself
 * @throws {Trouble} it is not allowed, not there, or in use
 */
export async function open(video, lost) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 } },
    });
  } catch (error) {
    throw new Trouble(TROUBLES[error.name] ?? "camera-missing");
  }
  for (const track of stream.getTracks()) track.addEventListener("ended", lost);
  video.srcObject = stream;
  await video.play();
}

/** Switch the camera off. */
export function close(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}
