import assert from 'node:assert/strict';

/*
 * Which event may do what, for the rule itself and for the built action.
 *
 * Who judges a look (check, log) and a power run, whether reports of other jobs may be shown, and what a refresh may
 * store: into the cache and into files, from the default branch, another one and a tag. `-` is refused.
 */
const TABLE = `
event                              look      power     report  cache: default branch tag   files: default  branch    tag
pull_request                       base      base      yes     -              -      -     -               -         -
pull_request_review                base      base      yes     -              -      -     -               -         -
fork/pull_request                  base/fork -         yes     -              -      -     -               -         -
fork/pull_request_review           base/fork -         yes     -              -      -     -               -         -
merge_group                        base      base      yes     -              -      -     -               -         -
push                               checkout  checkout  yes     accepted       -      -     accepted        -         -
schedule                           checkout  checkout  yes     unchanged      -      -     unchanged       -         -
workflow_dispatch                  checkout  checkout  yes     reasoned       -      -     reasoned        reasoned  reasoned
repository_dispatch                checkout  checkout  yes     -              -      -     -               -         -
release                            checkout  checkout  yes     -              -      -     -               -         -
cli                                checkout  checkout  yes     reasoned       reasoned reasoned reasoned   reasoned  reasoned
pull_request_target                -         -         -       -              -      -     -               -         -
fork/pull_request_target           -         -         -       -              -      -     -               -         -
workflow_run                       -         -         yes     -              -      -     -               -         -
pull_request_review_comment        -         -         -       -              -      -     -               -         -
fork/pull_request_review_comment   -         -         -       -              -      -     -               -         -
issue_comment                      -         -         -       -              -      -     -               -         -
issues                             -         -         -       -              -      -     -               -         -
discussion_comment                 -         -         -       -              -      -     -               -         -
fork                               -         -         -       -              -      -     -               -         -
watch                              -         -         -       -              -      -     -               -         -
create                             -         -         -       -              -      -     -               -         -
delete                             -         -         -       -              -      -     -               -         -
check_run                          -         -         -       -              -      -     -               -         -
status                             -         -         -       -              -      -     -               -         -
deployment                         -         -         -       -              -      -     -               -         -
of_next_year                       -         -         -       -              -      -     -               -         -
constructor                        -         -         -       -              -      -     -               -         -
Push                               -         -         -       -              -      -     -               -         -
`;

export const STORES = ['cache', 'files'] as const;
/** In the order of the columns. A merged pull request that is closed runs on the branch it went into. */
export const REFS = ['refs/heads/main', 'refs/heads/feature', 'refs/tags/main'] as const;

export interface Row {
  readonly event: string;
  readonly fork: boolean;
  readonly look: string;
  readonly power: string;
  /** Whether it may show what other jobs measured. */
  readonly report: string;
  /** By store, then by ref. */
  readonly refresh: readonly (readonly string[])[];
}

export const ROWS = TABLE.trim()
  .split('\n')
  .slice(1)
  .map((line): Row => {
    const [name = '', look = '', power = '', report = '', ...refresh] = line.split(/\s+/);
    assert.equal(refresh.length, 6, line);
    const event = name.replace(/^fork\//, '');
    return {
      event,
      fork: event !== name,
      look,
      power,
      report,
      refresh: [refresh.slice(0, 3), refresh.slice(3)],
    };
  });
