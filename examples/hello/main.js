// A shell with three routes. The server answers every path with index.html, and the path decides what is shown.

const steps = [
  ["Push", "A commit reached the repository on this machine.", "git push"],
  ["Webhook", "The repository told the api, signed with the project's secret.", "POST /webhooks"],
  ["Build", "A builder checked the commit out and ran its build in isolation.", "npm run build"],
  ["Store", "The files went into the object store, and last the list of them.", "S3"],
  ["Edge", "One pointer moved, and the edge served the new deployment at once.", "200 OK"],
];

const routes = {
  "/": {
    title: "It is up",
    show: () => `
      <p class="kicker">Your first deployment</p>
      <h1>It is up.</h1>
      <p class="lead">You are reading a site that was pushed, built, stored and served by your own machine.
        This is the way it took:</p>
      <ol class="steps">
        ${steps.map(([name, text, code]) => `<li><h2>${name}</h2><p>${text}</p><code>${code}</code></li>`).join("")}
      </ol>`,
  },
  "/next": {
    title: "What next",
    show: () => `
      <p class="kicker">A deep link</p>
      <h1>Make it yours.</h1>
      <p class="lead">This page has no file of its own. Reload it: the edge sees that the site is a
        single-page application and answers <code>${location.pathname}</code> with its shell.</p>
      <ul class="next">
        <li>Clone the repository that the terminal printed, change <code>main.js</code>, and push.
          The new version is live when the push is built, and no visitor meets half of it.</li>
        <li>Connect a project to its repository on GitHub: branches and pull requests get addresses of their own.</li>
        <li>Something went wrong? Every earlier deployment is still there to roll back to.</li>
      </ul>`,
  },
};

const notHere = {
  title: "Not here",
  show: () => `
    <p class="kicker">No such page</p>
    <h1>Not here.</h1>
    <p class="lead">The site is up, this page is not part of it. <a href="/">Back to the start</a></p>`,
};

const page = document.querySelector("#page");

function show() {
  const path = location.pathname.replace(/\/+$/, "") || "/";
  const route = routes[path] ?? notHere;
  document.title = route.title;
  page.innerHTML = route.show();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.pathname === path) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || link.origin !== location.origin || link.target || !isPlain) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  show();
  // A screen reader goes on with the new page, as it would after loading one.
  page.focus();
});

window.addEventListener("popstate", show);
show();
