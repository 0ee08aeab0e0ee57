// A photo or a short recording with the camera. Nothing leaves the page before a button is pressed.

import { button, element } from "./dom.js";

const NO_CAMERA = "This page may not use the camera: that needs https or localhost, and a browser with a camera.";
const QUALITY = 0.92; // of the JPEG
const RECORDINGS = ["video/webm;codecs=vp8", "video/webm", "video/mp4"]; // the first that the browser can write

/**
 * Show the camera until the reader takes a photo, records or cancels.
 * @param {HTMLElement} area
 * @param {"picture" | "clip"} kind
 * @param {number} seconds of a recording
 * @returns {Promise<Blob | null>} null: cancelled. Rejects if there is no camera, or it may not be used.
 */
export async function takeWithCamera(area, kind, seconds) {
  if (!navigator.mediaDevices) throw new Error(NO_CAMERA);
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  const video = /** @type {HTMLVideoElement} */ (element("video", { muted: "", playsinline: "" }));
  video.muted = true;
  video.style.maxWidth = "100%";
  video.srcObject = stream;
  const row = element("div", { class: "sam2nb-row" });
  area.append(video, row);
  try {
    await video.play();
    return await new Promise((done, fail) => {
      const take = kind === "clip" ? () => recording(stream, seconds, shoot) : () => photo(video);
      const text = kind === "clip" ? `Record ${seconds} seconds` : "Take the photo";
      const shoot = button(text, () => take().then(done, fail), { "data-action": "shoot" });
      row.append(shoot, button("Cancel", () => done(null), { "data-action": "cancel" }));
    });
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.remove();
    row.remove();
  }
}

/** The frame that a video shows, as a JPEG file. */
function photo(video) {
  const canvas = /** @type {HTMLCanvasElement} */ (element("canvas"));
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
}

/** Some seconds of a camera, as a video file; the button counts them. */
function recording(stream, seconds, shoot) {
  const mimeType = RECORDINGS.find((type) => MediaRecorder.isTypeSupported(type));
  const recorder = new MediaRecorder(stream, { mimeType });
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  shoot.disabled = true;
  shoot.textContent = "Recording …";
  return new Promise((done, fail) => {
    recorder.onstop = () => done(new Blob(parts, { type: mimeType.split(";")[0] }));
    recorder.onerror = () => fail(new Error("The recording failed."));
    recorder.start();
    setTimeout(() => recorder.stop(), seconds * 1000);
  });
}

/** A name for what the camera made, with the ending of its kind. */
export function nameOf(blob) {
  return { "image/jpeg": "photo.jpg", "video/mp4": "recording.mp4" }[blob.type] ?? "recording.webm";
}
