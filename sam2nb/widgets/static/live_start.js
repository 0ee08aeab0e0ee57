// In the pages of the notebooks: load the live view when somebody points at a picture that can be live.
document.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll(".sam2nb-live")) {
    const start = () => {
      place.dataset.wanted = "yes";
      if (window.sam2nbStart) window.sam2nbStart();
      if (document.getElementById("sam2nb-live")) return;
      const script = document.createElement("script");
      Object.assign(script, { id: "sam2nb-live", src: "%SCRIPT%" });
      script.onerror = () => {
        for (const note of document.querySelectorAll(".sam2nb-live p")) {
          note.textContent = "A still picture: the file %SCRIPT% is not beside this page.";
        }
      };
      document.head.append(script);
    };
    place.querySelector("img").addEventListener("pointerenter", start, { once: true });
    place.querySelector("button").addEventListener("click", start, { once: true });
  }
});
