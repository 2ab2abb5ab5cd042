// Light or dark, before anything is painted: what the switch has said last, otherwise what the system prefers.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("bulkhead-theme");
    } catch {
      return null;
    }
  };
  const apply = () => {
    root.dataset.theme = chosen() ?? (dark.matches ? "dark" : "light");
  };
  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const say = () => button.setAttribute("aria-pressed", String(root.dataset.theme === "dark"));
    say();
    button.addEventListener("click", () => {
      const next = root.dataset.theme === "dark" ? "light" : "dark";
      try {
        localStorage.setItem("bulkhead-theme", next);
      } catch {
        // a browser that keeps nothing still shows what was asked for, until it is closed
      }
      root.dataset.theme = next;
      say();
    });
  });
})();
