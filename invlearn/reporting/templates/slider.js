"use strict";
// Moves the threshold over the histogram, and says what it does to the pairs.
(() => {
  const input = document.getElementById("limit");
  if (!input) return;
  const data = JSON.parse(document.getElementById("limit-data").textContent);
  const line = input.closest("figure").querySelector(".threshold");
  const says = document.getElementById("limit-says");
  const start = data.x[input.value];
  const percent = (share) => `${Number((100 * share).toPrecision(3))}%`;
  const show = () => {
    const at = input.value;
    const text = `distance ${data.distance[at]}: ${percent(data.missed[at])} of the pairs of one entity are missed, `
      + `${percent(data.false[at])} of the different pairs are false matches`;
    line.setAttribute("transform", `translate(${data.x[at] - start} 0)`);
    says.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  input.addEventListener("input", show);
  show();
})();
