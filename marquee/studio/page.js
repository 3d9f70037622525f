// What moves in an answer, without asking the server again. Answers come as HTML and go again, so
// events are caught at the document.
(() => {
  const percent = (value) => `${value}%`;

  const moved = {
    // Before and after, on either side of a line.
    vary(input) {
      input.closest(".mq-vary").style.setProperty("--at", percent(input.value));
    },

    // Boxes that are less probable than the slider says are hidden, and not counted.
    threshold(input) {
      const all = input.closest(".mq-detections");
      all.querySelector(".mq-value").textContent = Number(input.value).toFixed(2);
      const counts = {};
      for (const box of all.querySelectorAll("rect")) {
        // The slider has two digits: what was found at its least is never hidden by it.
        const shown = input.value === input.min || Number(box.dataset.score) >= Number(input.value);
        box.toggleAttribute("hidden", !shown);
        counts[box.dataset.name] = (counts[box.dataset.name] || 0) + (shown ? 1 : 0);
      }
      for (const line of all.querySelectorAll("li[data-name]")) {
        line.querySelector("b").textContent = counts[line.dataset.name] || 0;
      }
    },

    mask(input) {
      const all = input.closest(".mq-mask");
      const threshold = Number(input.value);
      all.querySelector(".mq-value").textContent = threshold.toFixed(2);
      draw(all, threshold);
    },

    opacity(input) {
      const layer = input.closest(".mq-mask").querySelector("canvas, .mq-layer");
      layer.style.opacity = input.value;
    },

    age(input) {
      const all = input.closest(".mq-ages");
      const buttons = [...all.querySelectorAll("[data-mq-age]")];
      const chosen = buttons[Number(input.value)];
      buttons.forEach((one) => one.removeAttribute("aria-current"));
      chosen.setAttribute("aria-current", "true");
      all.querySelector(".mq-face").src = chosen.querySelector("img").src;
      all.querySelector(".mq-value").textContent = chosen.textContent.trim();
      input.setAttribute("aria-valuetext", chosen.textContent.trim());
    },
  };

  // Paints the probabilities above a threshold, and says how much of the picture that is.
  function draw(all, threshold) {
    const source = all.querySelector(".mq-source");
    const canvas = all.querySelector("canvas");
    const [width, height] = [source.naturalWidth, source.naturalHeight];
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.drawImage(source, 0, 0);
    const pixels = context.getImageData(0, 0, width, height);
    for (let at = 0; at < pixels.data.length; at += 4) {
      const probability = pixels.data[at] / 255;
      const share = Math.min(1, Math.max(0, (probability - threshold) / Math.max(1 - threshold, 0.01)));
      pixels.data.set(
        [254 - 88 * share, 205 - 151 * share, 120 - 117 * share, probability >= threshold ? 255 : 0],
        at,
      );
    }
    context.putImageData(pixels, 0, 0);
    const bins = all.dataset.bins.split(",").map(Number);
    const total = bins.reduce((sum, one) => sum + one, 0);
    const over = bins.slice(Math.round(threshold * 100)).reduce((sum, one) => sum + one, 0);
    all.querySelector(".mq-area").textContent = `${((100 * over) / total).toFixed(1)} %`;
  }

  window.marquee = {
    mask(source) {
      const all = source.closest(".mq-mask");
      moved.mask(all.querySelector("[data-mq=mask]"));
      moved.opacity(all.querySelector("[data-mq=opacity]"));
    },
  };

  document.addEventListener("input", (event) => {
    const kind = event.target.dataset?.mq;
    if (kind in moved) moved[kind](event.target);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-mq-age]");
    if (!button) return;
    const input = button.closest(".mq-ages").querySelector("input");
    input.value = button.dataset.mqAge;
    moved.age(input);
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-mq-copy]");
    if (!button) return;
    const text = button.closest(".mq-code").querySelector("pre");
    getSelection().selectAllChildren(text);
    // Browsers lend the clipboard to pages of this machine, or of https; the older way has no such rule.
    if (navigator.clipboard) await navigator.clipboard.writeText(text.textContent);
    else document.execCommand("copy");
    button.textContent = "Copied";
  });

  // The box under the pointer, or with the focus, says what it is below the picture.
  for (const kind of ["pointerover", "focusin"]) {
    document.addEventListener(kind, (event) => {
      if (!event.target.matches?.(".mq-detections rect")) return;
      const line = event.target.closest(".mq-detections").querySelector(".mq-under");
      line.textContent = event.target.getAttribute("aria-label");
    });
  }
})();
