// Runs in the page of the browser tests: what a notebook shows, asked in one place. window.jupyterapp is JupyterLab itself.
window.probe = (() => {
  const seen = [];                                        // everything that popped up, however briefly
  const POPUP = ".jp-Dialog, .Toastify__toast";
  new MutationObserver(changes => changes.forEach(change => change.addedNodes.forEach(node => {
    if (node.nodeType !== 1) return;
    const popup = node.matches(POPUP) ? node : node.querySelector(POPUP);
    if (popup) seen.push(`a dialog or notice came up: ${popup.innerText.replace(/\s+/g, " ").slice(0, 200)}`);
  }))).observe(document, { childList: true, subtree: true });

  const panel = () => window.jupyterapp.shell.currentWidget;
  const cells = () => panel().content.widgets;
  const outputs = index => [...cells()[index].node.querySelectorAll(".jp-OutputArea-output")];
  const pictures = index => outputs(index).flatMap(output => [...output.querySelectorAll("img, canvas")]);
  const kernel = () => panel()?.sessionContext?.session?.kernel;
  const onSlide = node => node.matches(".jp-deck-mod-onscreen.jp-deck-mod-visible");
  const shown = () => cells().flatMap((cell, i) => (onSlide(cell.node) ? [i] : []));
  const where = node => `cell ${cells().findIndex(cell => cell.node.contains(node))}`;
  const expected = cell => (cell.model.getMetadata("tags") || []).includes("raises-exception");
  const scroller = () => panel().content.node.querySelector(".jp-WindowedPanel-outer");
  let started = 0, elapsed = 0, ran = false;

  async function pixels(picture) {                        // a new address is not a new picture: compare what is in it
    await picture.decode?.().catch(() => {});
    const canvas = new OffscreenCanvas(picture.naturalWidth || picture.width || 1, picture.naturalHeight || picture.height || 1);
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0);
    const bytes = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes));
    return [...digest].map(byte => byte.toString(16).padStart(2, "0")).join("");
  }

  function cutOff(cell) {                                 // what is outside the slide, or scrolls, or is shortened, within one cell
    const found = [];
    for (const node of cell.querySelectorAll("*")) {
      if (node.closest("mjx-assistive-mml, .cm-layer, .jp-Collapser, .jp-InputPrompt, .jp-OutputPrompt, .noUi-base") || !node.checkVisibility()) continue;
      const box = node.getBoundingClientRect();
      if (box.width < 2 || box.height < 2) continue;           // nothing, or a text for screen readers alone
      const style = getComputedStyle(node), words = `${node.className || node.tagName}: ${(node.innerText || "").slice(0, 60)}`;
      if (box.left < -1 || box.top < -1 || box.right > innerWidth + 1 || box.bottom > innerHeight + 1) {
        found.push(`outside the slide (${[box.left, box.top, box.right, box.bottom].map(Math.round)}): ${words}`);
      }
      const hides = direction => ["auto", "scroll", "hidden"].includes(style[direction]);
      if ((hides("overflowX") && node.scrollWidth > node.clientWidth + 2) || (hides("overflowY") && node.scrollHeight > node.clientHeight + 2)) {
        found.push(`cut off or scrolling (${node.scrollWidth}x${node.scrollHeight} in ${node.clientWidth}x${node.clientHeight}): ${words}`);
      }
    }
    return found;
  }

  function formulas() {                                   // MathJax complains in the text; Markdown leaves a formula with unbalanced braces as it is
    const raw = [...document.querySelectorAll(".jp-MarkdownOutput :is(p, li, td, th, h1, h2, h3, h4), .jp-RenderedLatex")].filter(node =>
      [...node.childNodes].some(child => child.nodeType === 3 && /\\[a-zA-Z]{2,}|\$\S/.test(child.data)));
    return [
      ...[...document.querySelectorAll("mjx-merror")].map(node => `${where(node)}: a formula is not understood: ${node.title}`),
      ...[...document.querySelectorAll("mjx-mtext[style*='color: red']")].map(node => `${where(node)}: a formula has an unknown command`),
      ...raw.map(node => `${where(node)}: a formula was not set: ${node.innerText.slice(0, 80)}`),
    ];
  }

  return {
    panel, shown,
    pictures: index => Promise.all(pictures(index).map(pixels)),
    ready: () => Boolean(window.jupyterapp && kernel()?.status === "idle" && panel().content?.widgets?.length && panel().context.isReady),
    watch: () => panel().sessionContext.iopubMessage.connect((_, message) => {
      const { header, content } = message, command = message.parent_header?.msg_type;
      if (header.msg_type === "error" && command !== "execute_request") seen.push(`a callback failed: ${content.ename}: ${content.evalue}`);
      if (header.msg_type === "stream" && /Traceback|Warning:/.test(content.text)) seen.push(`an error or warning was printed: ${content.text.slice(-300)}`);
    }),
    run: () => {
      ran = false;
      window.jupyterapp.commands.execute("notebook:run-all-cells").finally(() => { ran = true; });
    },
    finished: () => ran && kernel()?.status === "idle",
    notRun: () => cells().flatMap(({ model }, i) => (model.type === "code" && model.sharedModel.getSource().trim() && !model.executionCount ? [i] : [])),
    settled: () => [...document.querySelectorAll(".jp-Notebook img")].every(image => image.complete) && !document.querySelector(".MathJax_Processing"),
    frames: () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))),
    troubles: () => [
      ...seen,
      ...cells().filter(cell => cell.model.type === "code" && !expected(cell)).flatMap(cell => cell.model.outputs.toJSON()
        .filter(output => output.output_type === "error").map(output => `${where(cell.node)} failed: ${output.ename}: ${output.evalue}`)),
      ...[...document.querySelectorAll(".jp-Notebook img")].filter(image => image.complete && !image.naturalWidth)
        .map(image => `${where(image)}: a picture does not load: ${image.alt || image.src.slice(0, 80)}`),
      ...formulas(),
      ...[...document.querySelectorAll(".jp-OutputArea-output")].filter(node => /Error displaying widget|Loading widget|javascript error/.test(node.innerText))
        .map(node => `${where(node)}: a widget is broken: ${node.innerText.slice(-80)}`),
      ...[...document.querySelectorAll(".widget-html-content b")].filter(node => node.innerText.includes("could not be drawn"))
        .map(node => `${where(node)}: ${node.innerText}`),
    ],
    label: node => (node.querySelector(".widget-label") || node.closest(".widget-inline-hbox")?.querySelector(".widget-label"))?.innerText || node.className,
    kind: node => (node.matches("[role=slider]") ? "slider" : node.matches(".widget-toggle-buttons") ? "buttons" : node.matches("select") ? "menu" : "switch"),
    stopwatch: index => {
      started = elapsed = 0;
      document.addEventListener("keydown", () => { started = performance.now(); }, { capture: true, once: true });
      pictures(index).forEach(picture => picture.addEventListener("load", () => { elapsed = performance.now() - started; }, { once: true }));
    },
    lap: () => elapsed,
    active: () => panel().content.activeCellIndex,
    canGoOn: () => Boolean(document.querySelector(".jp-Deck-Remote .jp-deck-mod-direction-forward:not(.jp-mod-disabled), .jp-Deck-Remote .jp-deck-mod-direction-down:not(.jp-mod-disabled)")),
    presenting: () => shown().length > 0 && !document.querySelector("#jp-top-panel")?.checkVisibility() && Boolean(document.querySelector(".jp-Deck-Remote")),
    overflow: () => {
      const outer = scroller();
      const tall = outer.scrollHeight > outer.clientHeight + 1 ? [`the content is ${outer.scrollHeight} px high, the slide ${outer.clientHeight}`] : [];
      return [...tall, ...shown().flatMap(i => cutOff(cells()[i].node).slice(0, 3).map(what => `cell ${i} ${what}`))];
    },
    deckSetting: async () => {
      const base = document.getElementById("jupyter-config-data"), { baseUrl, token } = JSON.parse(base.textContent);
      const reply = await fetch(`${baseUrl}lab/api/settings/jupyterlab-slideshow:plugin`, { headers: { Authorization: `token ${token}` } });
      return /"active"\s*:\s*true/.test((await reply.json()).raw);
    },
    scrollTo: top => { scroller().scrollTop = top; },
    scrollOn: () => {
      const before = scroller().scrollTop;
      scroller().scrollTop += scroller().clientHeight - 40;
      return scroller().scrollTop > before;
    },
    blank: () => !shown().some(i => [...cells()[i].node.querySelectorAll(".jp-MarkdownOutput, .jp-InputArea-editor, .jp-OutputArea-output")]
      .some(part => part.checkVisibility() && (part.innerText.trim() || part.querySelector("img, canvas, svg")))),
    wide: () => [...document.querySelectorAll(".jp-Notebook img, .jp-Notebook .widget-slider, .jp-Notebook .widget-toggle-buttons")]
      .filter(node => node.checkVisibility() && node.getBoundingClientRect().right > panel().content.node.getBoundingClientRect().right + 1)
      .map(node => `${where(node)}: ${node.className || node.tagName} reaches beyond the page`),
  };
})();
