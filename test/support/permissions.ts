import assert from 'node:assert/strict';

/*
 * Which event may do what, for the rule itself and for the built action.
 *
 * Who judges a look (check, log) and a power run, and what a refresh may store: into the cache and into files, from
 * the default branch, another one and a tag. `-` is refused.
 */
const TABLE = `
event                              look      power     cache: default branch tag   files: default  branch    tag
pull_request                       base      base      -              -      -     -               -         -
pull_request_review                base      base      -              -      -     -               -         -
pull_request_review_comment        base      base      -              -      -     -               -         -
fork/pull_request                  base/fork -         -              -      -     -               -         -
fork/pull_request_review           base/fork -         -              -      -     -               -         -
fork/pull_request_review_comment   base/fork -         -              -      -     -               -         -
merge_group                        base      base      -              -      -     -               -         -
push                               checkout  checkout  accepted       -      -     accepted        -         -
schedule                           checkout  checkout  unchanged      -      -     unchanged       -         -
workflow_dispatch                  checkout  checkout  reasoned       -      -     reasoned        reasoned  reasoned
repository_dispatch                checkout  checkout  -              -      -     -               -         -
release                            checkout  checkout  -              -      -     -               -         -
cli                                checkout  checkout  reasoned       reasoned reasoned reasoned   reasoned  reasoned
pull_request_target                -         -         -              -      -     -               -         -
fork/pull_request_target           -         -         -              -      -     -               -         -
workflow_run                       -         -         -              -      -     -               -         -
issue_comment                      -         -         -              -      -     -               -         -
issues                             -         -         -              -      -     -               -         -
discussion_comment                 -         -         -              -      -     -               -         -
fork                               -         -         -              -      -     -               -         -
watch                              -         -         -              -      -     -               -         -
create                             -         -         -              -      -     -               -         -
delete                             -         -         -              -      -     -               -         -
check_run                          -         -         -              -      -     -               -         -
status                             -         -         -              -      -     -               -         -
deployment                         -         -         -              -      -     -               -         -
of_next_year                       -         -         -              -      -     -               -         -
constructor                        -         -         -              -      -     -               -         -
Push                               -         -         -              -      -     -               -         -
`;

export const STORES = ['cache', 'files'] as const;
/** In the order of the columns. A merged pull request that is closed runs on the branch it went into. */
export const REFS = ['refs/heads/main', 'refs/heads/feature', 'refs/tags/main'] as const;

export interface Row {
  readonly event: string;
  readonly fork: boolean;
  readonly look: string;
  readonly power: string;
  /** By store, then by ref. */
  readonly refresh: readonly (readonly string[])[];
}

export const ROWS = TABLE.trim()
  .split('\n')
  .slice(1)
  .map((line): Row => {
    const [name = '', look = '', power = '', ...refresh] = line.split(/\s+/);
    assert.equal(refresh.length, 6, line);
    const event = name.replace(/^fork\//, '');
    return {
      event,
      fork: event !== name,
      look,
      power,
      refresh: [refresh.slice(0, 3), refresh.slice(3)],
    };
  });
