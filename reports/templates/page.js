"use strict";
(() => {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const PALETTE = {
    light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"],
    dark: ["#56b4e9", "#e69f00", "#2fc4a0", "#e2a1c6", "#f0e442", "#7f9cff"],
  };

  function draw(element) {
    const spec = structuredClone(specs[element.dataset.figure]);
    const ink = getComputedStyle(document.body).getPropertyValue("--ink").trim();
    spec.config = {
      ...spec.config,
      background: "transparent",
      range: { category: PALETTE[dark.matches ? "dark" : "light"] },
      rule: { color: ink },
      axis: { ...spec.config.axis, labelColor: ink, titleColor: ink, gridColor: ink, gridOpacity: 0.15,
              domainColor: ink, tickColor: ink },
      header: { ...spec.config.header, labelColor: ink },
      legend: { ...spec.config.legend, labelColor: ink, titleColor: ink },
    };
    return vegaEmbed(element, spec, { renderer: "svg", actions: false });
  }

  const charts = [...document.querySelectorAll(".chart")];
  const drawAll = () => Promise.all(charts.map(draw)).then(() => document.body.dataset.drawn = "yes");
  dark.addEventListener("change", drawAll);
  drawAll();
})();
