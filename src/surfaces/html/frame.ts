import { type Html, html, markupOf, ours } from './escape.ts';
import { STYLE } from './style.ts';

/** Nothing is loaded, nothing runs: were anything to slip through the templates, it would still not act. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/** A page that needs nothing else: no script, no font, no picture from elsewhere. The same body gives the same bytes. */
export function framed(title: string, body: Html, { skip, madeOf }: { skip: string; madeOf: Html }): string {
  return markupOf(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${ours(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${ours(STYLE)}</style>
</head>
<body>
<a class="skip" href="#main">${skip}</a>
<main id="main" tabindex="-1">
${body}
</main>
<footer><p>Made by deterministic-ml from ${madeOf}. This page runs no script and loads nothing.</p></footer>
</body>
</html>
`);
}
