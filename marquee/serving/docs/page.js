// Shows /openapi.json by Swagger UI. The key stays in this page's memory, and goes to this server only.
"use strict";
const form = document.getElementById("ask");
let key = "";

function withKey(request) {
  if (key && new URL(request.url, location.href).origin === location.origin) {
    request.headers = { ...request.headers, Authorization: `Bearer ${key}` };
  }
  return request;
}

async function show() {
  const answer = await fetch("/openapi.json", withKey({ url: "/openapi.json", headers: {} }));
  const said = await answer.json();
  if (answer.ok) {
    form.hidden = true;
    SwaggerUIBundle({
      spec: said,
      domNode: document.getElementById("page"),
      requestInterceptor: withKey,
      validatorUrl: null,
    });
    return;
  }
  form.hidden = false;
  document.getElementById("problem").textContent = key || answer.status !== 400 ? said.message : "";
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  key = document.getElementById("key").value.trim();
  show();
});
show();
