"use strict";
const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// Whether the document says that a request takes an Idempotency-Key.
function takesKey(url, method) {
  const { paths = {} } = window.ui.getState().getIn(["spec", "json"]).toJS();
  const path = new URL(url, location.href).pathname;
  const template = Object.keys(paths).find((template) =>
    new RegExp(`^${template.replaceAll(".", "\\.").replace(/\{[^}]+\}/g, "[^/]+")}$`).test(path),
  );
  const parameters = paths[template]?.[method.toLowerCase()]?.parameters ?? [];
  return parameters.some((parameter) => (parameter.name ?? parameter.$ref)?.endsWith("Idempotency-Key"));
}

window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  requestInterceptor(request) {
    const hasKey = Object.keys(request.headers ?? {}).some((name) => name.toLowerCase() === "idempotency-key");
    if (!request.loadSpec && !hasKey && takesKey(request.url, request.method)) {
      request.headers["Idempotency-Key"] = newKey(); // a new one each time, as clients ought to send
    }
    return request;
  },
});
