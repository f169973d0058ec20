#include "admin/page_style.h"

#include <openssl/evp.h>

namespace rum {

const std::string_view kPageStyle = R"(
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1c2024;--dim:#626b76;--line:#e2e5ea;
--good:#137a3e;--good-back:#e3f4e9;--warn:#8a5300;--warn-back:#fff1d6;--bad:#b3261e;
--bad-back:#fde8e6;--curve:#2563c9;--odd:#c4761b}
@media(prefers-color-scheme:dark){:root{--page:#121417;--card:#1b1e23;--ink:#e6e8eb;--dim:#98a1ad;
--line:#2d323a;--good:#6fcf97;--good-back:#163524;--warn:#f2b85c;--warn-back:#3a2b10;--bad:#ff8a80;
--bad-back:#451c1a;--curve:#7aa9f7;--odd:#e0a458}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif}
#page{max-width:1240px;margin:0 auto;padding:20px 24px 32px}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:2px 14px;margin:0 0 12px}
h1{font-size:21px;line-height:1.25;font-weight:650;margin:0;overflow-wrap:anywhere;min-width:0}
h2{font-size:15px;font-weight:650;margin:0;display:flex;flex-wrap:wrap;align-items:baseline;
gap:2px 12px}
h3{font-size:13px;font-weight:500;color:var(--dim);margin:0}
.dim,h2 span,th{color:var(--dim);font-weight:400}h2 span{font-size:13px}
a{color:var(--curve)}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
h2 .bad,h2 .warn{font-weight:600}
#verdict,#lost{border-radius:8px;padding:11px 16px;margin:0 0 16px;font-size:16px;display:flex;
flex-wrap:wrap;gap:2px 12px;align-items:baseline;border-left:6px solid}
#verdict b,#lost b{font-size:17px;text-transform:uppercase;letter-spacing:.04em}
#verdict span,#lost span{color:var(--ink);overflow-wrap:anywhere}
#verdict .s{white-space:nowrap}#verdict i{font-style:normal;color:var(--dim)}
#verdict.good{background:var(--good-back)}#verdict.warn{background:var(--warn-back)}
#verdict.bad,#lost{background:var(--bad-back)}#lost{color:var(--bad)}
[hidden]{display:none!important}
.lost #verdict{display:none}.lost main{opacity:.45}
.cards{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:12px}
.card,.box{background:var(--card);border:1px solid var(--line);border-radius:8px}
.card{padding:11px 14px 8px;display:flex;flex-direction:column}
.card b{font-size:25px;line-height:1.25;font-weight:650;white-space:nowrap;
font-variant-numeric:tabular-nums}
.card b small{font-size:14px;font-weight:400;color:var(--dim)}
.card svg{display:block;width:100%;height:48px;margin:4px 0 5px}
.card p{display:flex;justify-content:space-between;gap:10px;margin:0;font-size:12.5px;
color:var(--dim);white-space:nowrap;overflow:hidden}
polyline{fill:none;stroke:var(--curve);stroke-width:1.6;vector-effect:non-scaling-stroke}
polygon{fill:var(--curve);opacity:.13}
.odd polyline{stroke:var(--odd)}.odd polygon{fill:var(--odd)}
svg line{stroke:var(--line);vector-effect:non-scaling-stroke}
.box{padding:13px 16px 8px;margin:12px 0 0;min-width:0}
.bar{display:flex;flex-wrap:wrap;gap:8px 16px;justify-content:space-between;align-items:center;
margin-bottom:6px}
#filter{font:inherit;color:inherit;background:var(--page);border:1px solid var(--line);
border-radius:6px;padding:4px 9px;width:240px;max-width:100%}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:baseline;padding:5px 16px 5px 0;
border-top:1px solid var(--line)}
thead th{border-top:0;font-size:12.5px;white-space:nowrap}
tbody tr:first-child td{border-top:0}thead+tbody tr:first-child td{border-top:1px solid var(--line)}
td:last-child,th:last-child{padding-right:0}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.name{width:99%;max-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.s{white-space:nowrap}
#server-table:not(:has(#servers tr)){display:none}
#servers td:first-child,#server-table th:first-child{padding-left:8px}
#servers td:last-child{padding-right:8px}
#servers .name{width:34%}#servers .what{width:66%;color:var(--dim);overflow-wrap:anywhere}
tr.bad td{background:var(--bad-back);color:var(--ink)}
tr.warn td{background:var(--warn-back);color:var(--ink)}
tr.bad .s{color:var(--bad);font-weight:600}tr.warn .s{color:var(--warn);font-weight:600}
tr.bad .what,tr.warn .what{color:var(--ink)!important}
.toggle{position:absolute;opacity:0;width:1px;height:1px}
body:not(.filtering) .toggle:not(:checked)~table .more{display:none!important}
.toggle:checked~.rest .closed,.toggle:not(:checked)~.rest .open{display:none}
.toggle:focus-visible~.rest label{outline:2px solid var(--curve);outline-offset:2px}
.filtering .rest label{display:none}
.rest{margin:6px 0 4px;padding-left:8px}.rest label{color:var(--curve);cursor:pointer}
.boxes{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:12px}
.wide{overflow-wrap:anywhere}
footer{margin:16px 0 0;font-size:13px;color:var(--dim);display:flex;flex-wrap:wrap;gap:2px 20px;
justify-content:space-between}
@media(max-width:1000px){.boxes{grid-template-columns:repeat(2,minmax(0,1fr))}}
@media(max-width:640px){
#page{padding:14px 12px 24px}
#verdict,#lost{font-size:15px;padding:10px 13px}#verdict b,#lost b{flex-basis:100%}
#verdict i{display:none}#verdict .s,#verdict strong{display:block}
.cards{grid-template-columns:repeat(2,minmax(0,1fr));gap:8px}
.card{padding:9px 11px 7px}.card b{font-size:20px}.card b small{font-size:12px}
.card p{font-size:11.5px;display:block}.card p span{display:block}.card svg{height:36px}
.boxes{grid-template-columns:minmax(0,1fr);gap:0}
.box{padding:12px 12px 6px}#filter{width:100%}
#server-table thead{display:none}
#server-table tr{display:grid;grid-template-columns:1fr auto auto;gap:0 12px;
border-top:1px solid var(--line);padding:7px 8px;margin:0 -8px}
#server-table tbody tr:first-child{border-top:0}
#server-table td{border:0!important;padding:0!important;background:none!important}
#servers .name{grid-column:1/-1;width:auto;max-width:none;white-space:normal;overflow:visible;
overflow-wrap:anywhere;font-weight:500}
#servers .what{grid-column:1/-1;width:auto;font-size:13px}#servers .what:empty{display:none}
#servers .n::before{content:attr(data-head) " ";color:var(--dim)}
#servers .n:empty{display:none}
#servers .since{display:none}
#server-table tr.bad{background:var(--bad-back)}#server-table tr.warn{background:var(--warn-back)}
}
)";

// Replaces the parts of the page that have the attribute data-live with those of a new answer, so
// that the filter and the opened list stay.
const std::string_view kPageScript = R"(
"use strict";
const body = document.body, host = body.dataset.host;
const filter = document.getElementById("filter"), lost = document.getElementById("lost");
let answered = new Date(), busy = false;

function show() {
  const word = filter.value.trim().toLowerCase(), rows = document.querySelectorAll("#servers tr");
  filter.hidden = rows.length <= 10;
  body.classList.toggle("filtering", word !== "");
  let found = 0;
  for (const row of rows) {
    row.hidden = word !== "" && !row.textContent.toLowerCase().includes(word);
    found += !row.hidden;
  }
  document.getElementById("none").hidden = word === "" || found > 0;
}

async function refresh() {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const answer = await fetch(location.pathname, {signal: AbortSignal.timeout(4000)});
    if (!answer.ok) throw new Error();
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const parts = [...document.querySelectorAll("[data-live]")];
    if (!parts.every(part => fresh.getElementById(part.id))) throw new Error();
    for (const part of parts) part.replaceWith(fresh.getElementById(part.id));
    document.title = fresh.title;
    answered = new Date();
    lost.hidden = true;
    body.classList.remove("lost");
    show();
  } catch {
    const digits = {hour: "2-digit", minute: "2-digit", hourCycle: "h23"};
    const time = answered.toLocaleTimeString([], digits);
    lost.querySelector("span").textContent = "since " + time;
    lost.hidden = false;
    body.classList.add("lost");
    document.title = "no answer – " + host;
  }
  busy = false;
}

show();
filter.addEventListener("input", show);
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, 5000);
)";

namespace {

std::string Hash(std::string_view text) {
  unsigned char digest[32], words[48];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  EVP_EncodeBlock(words, digest, static_cast<int>(size));
  return "'sha256-" + std::string(reinterpret_cast<char*>(words)) + "'";
}

}  // namespace

const std::string& PagePolicy() {
  static const std::string policy = "default-src 'none'; style-src " + Hash(kPageStyle) +
                                    "; script-src " + Hash(kPageScript) +
                                    "; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                                    "frame-ancestors 'none'";
  return policy;
}

}  // namespace rum
