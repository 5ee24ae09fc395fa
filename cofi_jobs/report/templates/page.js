"use strict";
(() => {
  const root = document.documentElement;
  // Within Airflow's UI: its colours, which are light or dark whatever the system's are.
  try {
    const outer = window.parent === window ? null : window.parent.document.documentElement;
    const follow = () => {
      if (outer.classList.contains("dark")) root.dataset.theme = "dark";
      else if (outer.classList.contains("light")) root.dataset.theme = "light";
    };
    if (outer) {
      follow();
      new MutationObserver(follow).observe(outer, { attributes: true, attributeFilter: ["class"] });
    }
  } catch {
    // A page of another site shows this one, and does not say how it looks.
  }
  document.addEventListener("DOMContentLoaded", () => {
    root.classList.add("scripted");
    for (const field of document.querySelectorAll("input[data-search]")) {
      const place = document.getElementById(field.dataset.search);
      const said = field.closest(".search").querySelector("output");
      const candidates = [...place.children];
      const most = Number(field.dataset.most) || Infinity;
      const search = () => {
        const word = field.value.trim().toLowerCase();
        const exact = candidates.filter((one) => one.dataset.id === word);
        const matches = exact.length ? exact : candidates.filter((one) => one.dataset.find.includes(word));
        const shown = new Set(word ? matches.slice(0, most) : []);
        for (const one of candidates) {
          one.classList.toggle("chosen", shown.has(one));
          if ("rest" in one.dataset) one.hidden = word ? !shown.has(one) : one.dataset.rest === "true";
        }
        place.classList.toggle("searched", word !== "");
        if (said) {
          const cut = matches.length > most ? `, the first ${most} are shown` : "";
          said.value = word ? `${matches.length.toLocaleString("en")} found${cut}` : "";
        }
      };
      field.addEventListener("input", search);
      search();
    }
    // Within Airflow's frame a link to another page of Airflow is one of the page around it.
    for (const link of document.querySelectorAll("a[data-outer]")) {
      link.addEventListener("click", (event) => {
        if (window.parent === window) return;
        event.preventDefault();
        const outer = window.parent.document.createElement("a");
        outer.href = link.href;
        outer.click();
      });
    }
    for (const map of document.querySelectorAll(".map-plane")) {
      const label = map.querySelector(".hovered");
      const show = (event) => {
        const point = event.target.closest("circle");
        label.hidden = !point;
        if (!point) return;
        label.textContent = point.querySelector("title").textContent;
        const right = Number(point.getAttribute("cx")) > 500;
        label.style.left = right ? "auto" : `${point.getAttribute("cx") / 10}%`;
        label.style.right = right ? `${100 - point.getAttribute("cx") / 10}%` : "auto";
        label.style.top = `${(100 * point.getAttribute("cy")) / map.dataset.height}%`;
      };
      map.addEventListener("pointermove", show);
      map.addEventListener("pointerdown", show);
      map.addEventListener("pointerleave", () => { label.hidden = true; });
    }
  });
})();
