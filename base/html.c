/* base/html.c - pages that need nothing but themselves. */
#include "base/html.h"

void html_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            putc(*text, out);
        }
    }
}

void html_head(FILE *out, const char *title, const char *style)
{
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" "
          "content=\"width=device-width,initial-scale=1\">\n<title>",
          out);
    html_text(out, title);
    fputs(
        "</title>\n<style>\n"
        ":root{--ink:#1b1f24;--soft:#5b6470;--line:#d8dde3;--paper:#fff;"
        "--card:#f6f8fa;--in:#c2410c;--out:#0f6fb5}\n"
        "@media(prefers-color-scheme:dark){:root{--ink:#e8ebee;--soft:#a2abb5;"
        "--line:#3a424b;--paper:#14181c;--card:#1c2127;--in:#fb923c;--out:#60a5fa}"
        "}\n"
        "body{margin:0 auto;max-width:62rem;padding:1.2rem;font:16px/1.5 system-ui,"
        "sans-serif;color:var(--ink);background:var(--paper)}\n"
        "h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem;"
        "border-top:1px solid var(--line);padding-top:1rem}h3{font-size:1rem;"
        "margin:1.2rem 0 .3rem}\n"
        ".verdict{padding:.8rem 1rem;border-left:5px solid var(--soft);"
        "background:var(--card);border-radius:4px}\n"
        ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}"
        "th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);"
        "text-align:left;white-space:nowrap}td.n,th.n{text-align:right;"
        "font-variant-numeric:tabular-nums}\n"
        "dl{display:grid;grid-template-columns:minmax(8rem,auto) 1fr;gap:.2rem 1rem;"
        "font-size:.9rem}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}"
        "\n"
        ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,"
        "1fr));gap:1rem}svg{width:100%;height:auto;background:var(--card);"
        "border-radius:6px}svg text{font:10px system-ui,sans-serif;fill:var(--soft)}"
        "\n"
        ".axis{stroke:var(--soft);stroke-width:1;fill:none}.grid{stroke:var(--line);"
        "stroke-width:.6}\n"
        "@media(max-width:40rem){dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}"
        "}\n"
        "p.note,li{color:var(--soft);font-size:.9rem}\n",
        out);
    fprintf(out, "%s</style></head><body>\n", style);
}
