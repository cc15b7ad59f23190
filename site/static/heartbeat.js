// When the runner was last seen, in seconds since 1970; it writes the number at the end anew on each of its passes.
((seen) => {
  "use strict";
  const place = document.getElementById("seen");
  if (!seen || !place) return;
  const time = document.createElement("time");
  time.dateTime = new Date(1000 * seen).toISOString();
  time.textContent = `${time.dateTime.slice(0, 16).replace("T", " ")} UTC`;
  place.append(" · runner last seen ", time);
  place.hidden = false;
})(0);
