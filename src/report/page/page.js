(function () {
  var tools = document.getElementById("tools"), text = document.getElementById("text"),
    state = document.getElementById("state"), count = document.getElementById("count"),
    all = Array.prototype.slice.call(document.querySelectorAll("details.instance"));
  function filter() {
    var wanted = text.value.toLowerCase(), shown = 0;
    all.forEach(function (one) {
      var fits = (!state.value || one.dataset.state.split(" ").indexOf(state.value) >= 0) &&
        one.firstElementChild.textContent.toLowerCase().indexOf(wanted) >= 0;
      one.hidden = !fits;
      if (fits) { shown += 1; }
    });
    count.textContent = shown + " of " + all.length;
  }
  function follow() {
    var one = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (one && one.tagName === "DETAILS") { one.open = true; one.scrollIntoView(); }
  }
  text.addEventListener("input", filter);
  state.addEventListener("change", filter);
  window.addEventListener("hashchange", follow);
  tools.hidden = false;
  filter();
  follow();
}());
