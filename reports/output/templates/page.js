"use strict";
(() => {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const charts = [...document.querySelectorAll(".chart")];
  const main = document.querySelector("main");
  const form = document.getElementById("choose");
  if (!charts.length) {
    document.body.dataset.drawn = "yes";
    return;
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const PAPER = 700;  // pixels of text on A4 and US Letter
  let printing = false;
  // For a dark ground; told apart with every common kind of colour blindness, as the figures' own.
  const DARK_PALETTE = ["#56b4e9", "#f08a3c", "#2e9e6b", "#e2a1c6", "#f0e442", "#9a86ff"];
  const hidden = { dataset: new Set(), method: new Set() };
  const shown = (row) => !hidden.dataset.has(row.dataset) && !hidden.method.has(row.method);

  function themed(spec) {
    const styles = getComputedStyle(document.body);
    const ink = styles.getPropertyValue(printing ? "--ink-on-paper" : "--ink").trim();
    const night = dark.matches && !printing;
    const config = spec.config;
    return {
      ...config,
      background: "transparent",
      range: night ? { category: DARK_PALETTE } : config.range,
      rule: { color: ink },
      axis: { ...config.axis, labelColor: ink, titleColor: ink, gridColor: ink, gridOpacity: 0.12,
              domainColor: ink, tickColor: ink },
      header: { ...config.header, labelColor: ink },
      legend: { ...config.legend, labelColor: ink, titleColor: ink, symbolBaseFillColor: ink,
                symbolBaseStrokeColor: ink },
    };
  }

  // As many panels side by side as fit, as wide as they may be. An axis takes about 70 pixels.
  // A figure of one panel takes the whole width, up to that of a comfortable line.
  function fitted(spec, room) {
    const panels = new Set(Object.values(spec.datasets).flat().filter(shown)
      .map((row) => row[spec.facet.field])).size;
    const most = Math.max(1, Math.min(panels, 3, Math.floor(room / 300)));
    const columns = most === 3 && panels % 3 === 1 && panels % 2 === 0 ? 2 : most;
    spec.columns = columns;
    const widest = columns === 1 ? 800 : 480;
    const width = Math.max(180, Math.min(widest, Math.floor(room / columns) - 78));
    spec.spec.width = width;
    spec.spec.height = Math.max(spec.spec.height, Math.min(380, Math.round(width / 2)));
    // Two legends side by side are wider than a phone.
    if (room < 500) {
      spec.config.legend = { ...spec.config.legend, columns: 3, layout: { top: { direction: "vertical" } } };
    }
    spec.config.header = { ...spec.config.header, labelLimit: width };  // a long name would push panels out
  }

  async function draw(element) {
    const spec = structuredClone(specs[element.dataset.figure]);
    spec.config = themed(spec);
    const room = element.clientWidth || main.clientWidth;  // closed parts have no width
    fitted(spec, printing ? Math.min(room, PAPER) : room);
    for (const name of Object.keys(spec.datasets)) spec.datasets[name] = spec.datasets[name].filter(shown);
    if (element.view) element.view.finalize();
    const result = await vegaEmbed(element, spec, { renderer: "svg", actions: false, tooltip: { theme: dark.matches ? "dark" : "light" } });
    element.view = result.view;
  }

  async function drawAll() {
    document.body.dataset.drawn = "no";
    for (const chart of charts) await draw(chart);
    document.body.dataset.drawn = "yes";
  }

  function filterRows() {
    for (const row of document.querySelectorAll("tr[data-dataset], tr[data-method]")) row.hidden = !shown(row.dataset);
  }

  function values(field) {
    const rows = Object.values(specs).flatMap((spec) => Object.values(spec.datasets).flat());
    return [...new Set(rows.map((row) => row[field]))].sort();
  }

  function choices(field, title) {
    const names = values(field);
    if (names.length < 2) return;
    const group = document.createElement("fieldset");
    const legend = document.createElement("legend");
    legend.textContent = title;
    group.append(legend);
    for (const name of names) {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = true;
      box.name = field;
      box.value = name;
      box.addEventListener("change", () => {
        hidden[field][box.checked ? "delete" : "add"](name);
        filterRows();
        remember();
        drawAll();
      });
      label.append(box, ` ${name}`);
      group.append(label);
    }
    form.append(group);
    form.hidden = false;
  }

  // A page that loads itself again while a study runs keeps what was chosen.
  const KEY = `mixco ${location.pathname}`;
  function remember() {
    try {
      sessionStorage.setItem(KEY, JSON.stringify([...form.elements].filter((box) => box.checked === false).map((box) => [box.name, box.value])));
    } catch { /* storage may be forbidden */ }
  }
  function recall() {
    try {
      for (const [name, value] of JSON.parse(sessionStorage.getItem(KEY) ?? "[]")) hidden[name].add(value);
    } catch { /* the same */ }
    for (const box of form.elements) if (box.name) box.checked = !hidden[box.name].has(box.value);
    filterRows();
  }

  choices("dataset", "data sets");
  choices("method", "methods");
  recall();
  dark.addEventListener("change", drawAll);
  // Before the browser divides the page into sheets: what grows later is cut at the end.
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
    printing = true;
    drawAll();
  });
  addEventListener("afterprint", () => {
    printing = false;
    drawAll();
  });
  let waiting, width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;  // phones resize when their address bar hides
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150);
  });
  drawAll();
})();
