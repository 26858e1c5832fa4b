import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { visible } from '../../../src/inert.ts';
import { type Report, ReportSchema } from '../../../src/report/schema.ts';
import { spread } from '../../../src/surfaces/html/chart.ts';
import { htmlReport } from '../../../src/surfaces/html/drawn.ts';
import { capped, dotted, escaped, html, link, markupOf, prose } from '../../../src/surfaces/html/escape.ts';
import { MAX_MODULES } from '../../../src/surfaces/html/filters.ts';
import { MAX_CELLS } from '../../../src/surfaces/html/minimap.ts';
import { CLOSE_UPS } from '../../../src/surfaces/html/prompts.ts';
import { shellWord } from '../../../src/surfaces/html/reproduce.ts';
import { quietStrip, rulerOf, stretchesOf, strip } from '../../../src/surfaces/html/strip.ts';
import { read } from '../../../src/words/reading.ts';
import {
  acceptedReport,
  driftReport,
  incomparableReport,
  largeReport,
  legs,
  moved,
  noBaselineReport,
  refreshReport,
  reproducedReport,
  trace,
  unmeasuredReport,
  unstableReport,
} from '../../browser/support/samples.ts';
import { HOSTILE } from '../support/hostile.ts';
import { divergence, finding } from '../support/reports.ts';

const DRIFT = driftReport();
const PAGE = htmlReport([DRIFT]);
const SAMPLES: Readonly<Record<string, Report>> = {
  drift: DRIFT,
  accepted: acceptedReport(),
  reproduced: reproducedReport(),
  unstable: unstableReport(),
  'no baseline': noBaselineReport(),
  incomparable: incomparableReport(),
  unmeasured: unmeasuredReport(),
  refresh: refreshReport(),
};

/** What a reader of the markup gets. */
const readable = (markup: string) =>
  markup
    .replaceAll(/<style>[\s\S]*?<\/style>|<[^>]+>/g, '')
    .replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));

/** What of a page, or nothing: a whole page in a failure's message helps nobody. */
const found = (page: string, what: RegExp) => what.exec(page)?.[0];

/** The page with the findings of its baseline replaced. */
function withBaselineFindings(findings: Report['relations'][number]['findings']): Report {
  return {
    ...DRIFT,
    relations: DRIFT.relations.map((one) =>
      one.relation === 'baseline' ? { ...one, findings } : { ...one, findings: [] },
    ),
  };
}

test('what was stopped before its first engine start ran nothing', () => {
  const report = noBaselineReport();
  const stopped: Report = {
    ...report,
    conclusion: 'unhealthy-gpu',
    work: { ...report.work, lifetimes: 0, tokens: 0, positions: 0, seconds: 0 },
  };
  assert.match(htmlReport([stopped]), /<dt>Ran<\/dt><dd><b>nothing<\/b><span>0 engine starts/);
});

describe('text', () => {
  for (const [name, text] of Object.entries(HOSTILE))
    test(`${name}: acts as nothing, and reads as it was`, () => {
      const shown = escaped(text);
      assert.doesNotMatch(shown, /[<>"'`]|&(?!#\d+;)/);
      assert.equal(readable(shown), visible(text));
      assert.equal(readable(markupOf(prose(text))).replaceAll('`', ''), visible(text).replaceAll('`', ''));
    });

  test('is escaped by the template, and markup is not escaped twice', () => {
    assert.equal(
      markupOf(html`<b title="${'"<'}">${html`<i>${'&'}</i>`}</b>`),
      '<b title="&#34;&#60;"><i>&#38;</i></b>',
    );
    assert.equal(markupOf(html`${[html`a`, '<', 1, undefined]}`), 'a&#60;1');
  });

  test('that looks like markup of ours is text all the same', () => {
    assert.equal(markupOf(html`${JSON.parse('"<b>"') as string}`), '&#60;b&#62;');
    assert.throws(() => html`${JSON.parse('{"markup":"<b>"}') as string}`);
  });

  test('is capped once it is spelled out, and says so', () => {
    assert.equal(readable(markupOf(capped('x'.repeat(50), 10))), 'xxxxxxxxxx… (cut: 50 characters in all)');
    assert.equal(
      readable(markupOf(capped('\n'.repeat(9), 10))),
      `${'\\n'.repeat(5)}… (cut: 9 characters in all)`,
    );
    assert.doesNotMatch(markupOf(capped('😀😀😀', 3)), /[\ud800-\udbff](?![\udc00-\udfff])/);
    assert.equal(markupOf(dotted('a.<b>', 20)), 'a.<wbr>&#60;b&#62;');
  });

  test('of ours has its code marked', () => {
    assert.equal(markupOf(prose('see `a<b` and `c')), 'see <code>a&#60;b</code> and &#96;c');
  });

  test('is a link only if it is an address of the web', () => {
    assert.match(
      markupOf(link('https://a.b/c?d=e&f#g', 'run')),
      /^<a href="https:\/\/a.b\/c\?d=e&#38;f#g" rel="noreferrer">run<\/a>$/,
    );
    for (const url of [
      '',
      'javascript:alert(1)',
      'JAVASCRIPT://x',
      'data:x',
      'https://a b',
      'https://a"b',
      '//a.b',
      'https://a\u202eb',
    ])
      assert.equal(markupOf(link(url, 'run')), 'run', url);
  });

  test('is one word of a shell', () => {
    assert.equal(shellWord('suites/determinism.yml'), 'suites/determinism.yml');
    assert.equal(shellWord("a b'; rm -rf"), "'a b'\\''; rm -rf'");
    assert.equal(shellWord('--help'), "'./--help'");
  });
});

describe('a page', () => {
  for (const [name, report] of Object.entries(SAMPLES))
    test(`${name}: is a report of the schema, says the verdict as every surface, and has one first heading`, () => {
      assert.deepEqual(ReportSchema.safeParse(report).error?.issues ?? [], []);
      const page = htmlReport([report]);
      const [, heading = ''] = /<h1[^>]*>([\s\S]*?)<\/h1>/.exec(page) ?? [];
      assert.equal(readable(heading).replaceAll(/\s+/g, ' '), read(report).line);
      assert.equal(page.match(/<h1/g)?.length, 1);
    });

  test('is the same for the same reports, whatever was drawn before', () => {
    assert.equal(htmlReport([driftReport()]), PAGE);
    assert.equal(htmlReport(legs()), htmlReport(legs()));
  });

  test('runs nothing and loads nothing', () => {
    assert.equal(
      found(PAGE, /<(?:script|img|link|iframe|object|embed|form|base)\b|\son\w+=|url\(|@import/),
      undefined,
    );
    assert.match(
      PAGE,
      /Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:;/,
    );
    const addresses = [...PAGE.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, address = '']) => address);
    assert.ok(addresses.every((one) => one.startsWith('#') || one.startsWith('https://github.com/')));
  });

  test('gives no id twice, and every link within it leads somewhere', () => {
    for (const page of [PAGE, htmlReport(legs())]) {
      const ids = [...page.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id);
      assert.equal(new Set(ids).size, ids.length);
      for (const [, target] of page.matchAll(/(?:href="#|aria-labelledby="|for=")([^"]*)"/g))
        assert.ok(ids.includes(target), target);
    }
  });

  test('names what drifted and how to go on', () => {
    const text = readable(PAGE);
    for (const part of [
      '7 of 8',
      'step 9',
      '9.3x the floor',
      'model.layers.15.mlp.down_proj',
      'deterministic-ml accept determinism-77-1.report.json --reason "why',
      'accept:\n  - record: 85b0a817',
      'gh workflow run refresh.yml',
      'deterministic-ml check determinism.yml',
      'deterministic-ml verify determinism-77-1.report.json',
      'near tie, ahead by 0.0180 nats (1.1 steps of bfloat16)',
      'int8 weights',
      'top_p, min_p (no prompt uses it)',
    ])
      assert.ok(text.includes(part), part);
  });

  test('has no part for what was not measured', () => {
    const page = htmlReport([noBaselineReport()]);
    assert.doesNotMatch(page, /id="(?:distance|modules)"/);
    assert.match(page, /There is no baseline whose environment/);
  });

  test('of several reports has each by itself, below a table of all', () => {
    const page = htmlReport(legs());
    assert.equal(page.match(/<article /g)?.length, 3);
    assert.match(readable(page), /Drift: 1 of 3 legs; 1 reproduced; 1 no baseline/);
    for (const { hardwareClass } of legs()) assert.ok(page.includes(`">${hardwareClass}</a>`));
    assert.doesNotMatch(PAGE, /<article |class="overview"/);
  });

  test('of no report says so', () => assert.match(htmlReport([]), /<h1>No report<\/h1>/));
});

describe('the ladder', () => {
  test('shows tokens of the worst prompts only, the strips of the rest, and says what is missing', () => {
    const page = htmlReport([largeReport(100)]);
    assert.equal(page.match(/<li class="row /g)?.length, 100);
    assert.equal(page.match(/class="closeup"/g)?.length, CLOSE_UPS);
    assert.match(
      readable(page),
      new RegExp(`shown for the ${CLOSE_UPS} worst; those of 76 more are in the report’s JSON`),
    );
    assert.equal(page.match(/class="chart wide"/g)?.length, 2);
    assert.match(readable(page), /The 12 largest; 88 more are in the report’s JSON/);
  });

  test('leaves prompts out where they would not fit, and counts them', () => {
    const page = htmlReport([largeReport(4000)]);
    const shown = page.match(/<li class="row /g)?.length ?? 0;
    assert.ok(Buffer.byteLength(page) < 5_000_000);
    assert.ok(shown > 1000 && shown < 4000, String(shown));
    assert.ok(readable(page).includes(`${4000 - shown} more, less bad than these, are left out`));
  });

  test('folds many identical prompts into one line', () => {
    const same = Array.from({ length: 500 }, (_, i) =>
      finding(`p${i}`, { agreement: 'identical', holds: true, textIdentical: true, divergence: null }),
    );
    const report = withBaselineFindings([...same, moved('bad', 'generate', { bits: 3, nats: 0.1, seed: 1 })]);
    const page = htmlReport([report]);
    assert.equal(page.match(/<li class="row /g)?.length, 1);
    assert.match(readable(page), /500 prompts with identical bits/);
  });

  test('puts the worst first', () => {
    const names = [...PAGE.matchAll(/<span class="name">([^<]*)</g)].map(([, name]) => name);
    assert.deepEqual(names.slice(0, 2), ['sky', 'essay']);
    assert.equal(names.at(-1), 'translate-to-finnish');
  });
});

describe('the map of prompts', () => {
  const cellsOf = (page: string) =>
    [...page.matchAll(/<(?:a class="cell p-(\w+) at-\d" href="#([^"]*)"|span class="cell p-(\w+) )/g)].map(
      ([, state, target, unplaced]) => ({ state: state ?? unplaced, target }),
    );

  test('has a cell for each prompt in the suite’s order, and the first difference is jumped to', () => {
    const ids = ['sky', 'capital', 'essay'];
    const places = { ...DRIFT.context.places, prompts: ids.map((id) => ({ id, line: 1, column: 1 })) };
    const page = htmlReport([{ ...DRIFT, context: { ...DRIFT.context, places } }]);
    const cells = cellsOf(page);
    assert.equal(cells.length, 8);
    assert.deepEqual(cells.slice(0, 3), [
      { state: 'tokens', target: 'prompt-sky' },
      { state: 'bits', target: 'prompt-capital' },
      { state: 'tokens', target: 'prompt-essay' },
    ]);
    assert.match(page, /href="#prompt-sky">Jump to the first difference/);
    assert.match(page, /title="capital: ([^"]*)" aria-label="capital: \1">≈</);
  });

  test('is left out where all agree', () => {
    const page = htmlReport([reproducedReport()]);
    assert.deepEqual(cellsOf(page), []);
    assert.doesNotMatch(page, /Jump to/);
  });

  test('of more prompts than it has room for shows the worst of neighbours, and says so', () => {
    const same = Array.from({ length: 6000 }, (_, i) =>
      finding(`p${i}`, { agreement: 'identical', holds: true, textIdentical: true, divergence: null }),
    );
    const bad = moved('bad', 'generate', { bits: 3, nats: 0.1, seed: 1 });
    const page = htmlReport([withBaselineFindings([...same.slice(0, 3001), bad, ...same.slice(3001)])]);
    const cells = cellsOf(page);
    assert.equal(cells.length, Math.ceil(6001 / Math.ceil(6001 / MAX_CELLS)));
    assert.deepEqual(
      cells.flatMap(({ state, target }, at) => (state === 'bits' ? [{ at, target }] : [])),
      [{ at: Math.floor(3001 / 4), target: 'prompt-bad' }],
    );
    assert.match(readable(page), /Each cell of the map stands for 4 neighbours/);
    const ids = new Set([...page.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id));
    assert.deepEqual(
      cells.filter(({ target }) => target !== undefined && !ids.has(target)),
      [],
    );
  });

  test('with hostile ids has a place for each, and each link leads to its own', () => {
    const findings = Object.values(HOSTILE).map((id, seed) =>
      moved(id, 'generate', { bits: 3, nats: 0.1, seed }),
    );
    const page = htmlReport([withBaselineFindings(findings)]);
    const ids = [...page.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id);
    assert.equal(new Set(ids).size, ids.length);
    assert.equal(cellsOf(page).length, findings.length);
    for (const { target } of cellsOf(page)) assert.ok(ids.includes(target), target);
  });
});

test('prompts can be picked by the first module that differs, of many the commonest by name', () => {
  assert.match(
    readable(PAGE),
    /First module that differs any or none 7\s*model\.layers\.15\.mlp\.down_proj 1\s*no module seen 6/,
  );
  const findings = Array.from({ length: 30 }, (_, i) => ({
    ...moved(`p${i}`, 'score', { bits: 3, nats: 0.1, seed: i }),
    trace: { ...trace(), first: `layers.${i % 12}` },
  }));
  const page = htmlReport([withBaselineFindings(findings)]);
  assert.equal(page.match(/<input type="radio"/g)?.length, 1 + MAX_MODULES + 1);
  // Twelve modules: six of three prompts and six of two, of which two have a name of their own here.
  assert.match(readable(page), /another module 8/);
});

describe('a strip', () => {
  test('tells its stretches', () => {
    assert.deepEqual(stretchesOf('==~x.'), [
      { cell: '=', first: 0, end: 2 },
      { cell: '~', first: 2, end: 3 },
      { cell: 'x', first: 3, end: 4 },
      { cell: '.', first: 4, end: 5 },
    ]);
    assert.match(
      markupOf(strip(finding('p'))),
      /aria-label="generate: the same bits to step 1; other bits, the same token to step 3; another token to step 4; nothing to compare to step 9"/,
    );
  });

  test('of one side that went on has its end counted', () => {
    const one = {
      ...moved('p', 'generate', { bits: 0, nats: 0, seed: 0 }),
      divergence: divergence({ strip: '===x', steps: 3, tokenStep: 3, logprobStep: null }),
    };
    assert.match(markupOf(rulerOf(one)), />4<\/span>/);
    assert.match(markupOf(quietStrip(one)), /aria-hidden="true" viewBox="0 0 4 16"/);
  });
});

describe('a chart', () => {
  test('keeps its names apart and on the page', () => {
    assert.deepEqual(spread([10, 12, 50], 15, 100), [10, 25, 50]);
    assert.deepEqual(spread([90, 95, 99], 15, 100), [70, 85, 100]);
  });

  test('is told in words, and draws what is no number as a gap', () => {
    assert.match(PAGE, /aria-label="Line chart: distance in nats along the positions of 7 prompts/);
    const broken = moved('nan', 'score', { bits: 1, nats: 0.1, seed: 1 });
    const findings = [
      {
        ...broken,
        divergence: {
          ...divergence(),
          profile: ['NaN' as const, 0, 0.1, 'Infinity' as const],
          strip: '~~~~',
        },
      },
    ];
    const page = htmlReport([withBaselineFindings(findings)]);
    assert.equal(found(page, /NaN(?! \(a broken)|Infinity/), undefined);
  });
});

describe('the map of modules', () => {
  const mapped = (one: ReturnType<typeof trace>) =>
    htmlReport([
      withBaselineFindings([
        finding('t', {
          kind: 'trace',
          agreement: 'modules-differ',
          divergence: null,
          textIdentical: null,
          trace: one,
        }),
      ]),
    ]);

  test('marks the first that differs, and says from where on the others do', () => {
    const text = readable(mapped(trace()));
    assert.match(
      text,
      /First different module: model\.layers\.15\.mlp\.down_proj\. 173 modules of 363 differ/,
    );
    assert.match(text, /mlp\.down_proj\s*first of all; from layer 15 on \(15 of 30\)/);
    assert.match(text, /input_layernorm\s*from layer 16 on \(14 of 30\)/);
    assert.match(text, /model\.embed_tokens\s*same/);
  });

  test('counts what it leaves out', () => {
    const one = trace();
    assert.match(
      readable(mapped({ ...one, map: { ...one.map, omitted: 7 } })),
      /7 modules left out of the map/,
    );
  });
});

test('what may have caused it stands above what to do, linked to its table', () => {
  const [top = ''] = PAGE.split('What to do');
  assert.match(top, /href="#[^"]*environment"[^>]*>Changed since the baseline<\/a>: <code>/);
  const [well = ''] = htmlReport([reproducedReport()]).split('What to do');
  assert.doesNotMatch(well, /Changed since the baseline/);
});
