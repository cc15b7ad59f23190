// Before the first paint: that scripts run, and the reader's choice of light or dark, where one was made; then what the button does that makes it.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("scripts"); // what only a script can do is shown
  const read = () => { try { return localStorage.getItem("espalier-theme"); } catch { return null; } };
  const keep = (value) => { try { localStorage.setItem("espalier-theme", value); } catch { /* file:// may refuse */ } };
  const kept = read();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("button.theme");
    const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const label = () => button.setAttribute("aria-label", dark() ? "Use light colours" : "Use dark colours");
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      keep(root.dataset.theme);
      label();
    });
    label();
  });
})();
