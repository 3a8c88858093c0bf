"use strict";
// Its search runs in a worker made from a blob, which the page's policy does not let run.
Redoc.init("/openapi.json", { disableSearch: true, hideDownloadButton: false }, document.getElementById("redoc"));
