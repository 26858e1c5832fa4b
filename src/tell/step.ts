import * as core from '@actions/core';
import { logLine, within } from '../inert.ts';
import type { TellSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { Notice } from '../report/schema.ts';
import type { Annotation } from '../surfaces/surface.ts';
import { addSummary, beginSummary } from './job-summary.ts';
import { logOf } from './log.ts';
import { tellChange } from './recipient.ts';
import type { Recipients } from './tell.ts';

/** Whom a step of a workflow tells: its log, its page, and whoever watches the change. */
export const step = (settings: TellSettings, tools: Pick<Tools, 'console' | 'open'>): Recipients => ({
  ...logOf(tools.console),
  ...pageOfRun(),
  change: async (change, posts) => tellNotices(await tellChange(change, posts, settings, tools)),
});

/**
 * What a step of a workflow shows on the page of its run, from its beginning: annotations, outputs and summary. Text is
 * inert before it gets here or made so by `core`.
 */
export function pageOfRun(): Recipients {
  beginSummary();
  return {
    annotations(all) {
      for (const annotation of all) annotate(annotation);
    },
    outputs(all) {
      for (const [name, value] of Object.entries(all)) core.setOutput(name, value);
    },
    summary: addSummary,
  };
}

/** What could not be told elsewhere. The runner drops the eleventh of a kind silently: the log has it. */
export function tellNotices(notices: readonly Notice[]): void {
  for (const { level, title, message } of notices) {
    const told = { title: within(title, 250), message: within(message, 4000) };
    if (annotated[level] < MAX_OF_A_KIND) annotate({ level, ...told });
    else core.info(logLine(`${level}: ${told.title}. ${told.message}`));
  }
}

const MAX_OF_A_KIND = 10;
/** In this step, of each kind. */
const annotated: Record<Annotation['level'], number> = { error: 0, warning: 0, notice: 0 };

type Placed = Pick<Annotation, 'level' | 'title' | 'message'> & Partial<Annotation>;

function annotate({ level, title, message, file, line, column }: Placed): void {
  const show = { error: core.error, warning: core.warning, notice: core.notice }[level];
  annotated[level]++;
  show(message, {
    title,
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { startLine: line }),
    ...(column === undefined ? {} : { startColumn: column }),
  });
}
