import type { ErrorCode } from '../errors.ts';

/** Anything thrown that is no `UserError` is a bug of ours, and has words too. */
export type ToldCode = ErrorCode | 'internal-error';

/**
 * One sentence each for what happened, what it means and what to do, whatever the place: an error's own message and
 * hint say what it was here. Markdown of our own making; a document is named by its path from the repository's root.
 */
export interface ErrorWords {
  readonly what: string;
  readonly meaning: string;
  readonly next: string;
}

/** Every surface, and the table in docs/troubleshooting.md, is made from these. */
export const ERROR_WORDS: Readonly<Record<ToldCode, ErrorWords>> = {
  'input-invalid': {
    what: 'One or more inputs are wrong, and all of them are named.',
    meaning: 'Nothing was started: a slip of the pen must not become another measurement.',
    next: 'Correct them under `with:` or on the command line; the README lists every input.',
  },
  'suite-missing': {
    what: 'The suite’s file is not there.',
    meaning: 'Nothing says what must not change, so nothing was started.',
    next: 'Name it relative to the repository, and run actions/checkout before this action.',
  },
  'suite-invalid': {
    what: 'The suite has problems, each told with its line and column.',
    meaning:
      'Nothing was started: a suite that is half understood would measure something else than it says.',
    next: 'Correct these lines; docs/suite.md has every key.',
  },
  'prompt-file-invalid': {
    what: 'A prompt’s `file` is missing, too large, outside the repository or not UTF-8; on a pull request perhaps on its base branch, whose prompts are measured too.',
    meaning: 'This prompt has no text, so nothing was started.',
    next: 'Correct the file, or its path, which is relative to the suite, on the branch that the message names.',
  },
  'fleet-invalid': {
    what: 'The file of a fleet is not there, breaks its schema, names a launcher twice, or one that could not be started.',
    meaning: 'Nothing was started anywhere.',
    next: 'Correct the lines that the message names; docs/fleet.md describes every key.',
  },
  'fleet-unmeasured': {
    what: 'No launcher of the fleet measured anything.',
    meaning: 'There is nothing to compare; the message has what each of them died of.',
    next: 'Mend one by itself first: `deterministic-ml check --launcher "…"`.',
  },
  'model-missing': {
    what: 'The folder that `model.path` names holds no model.',
    meaning: 'There is nothing to load, so nothing was measured.',
    next: 'Name a folder with config.json, weights and tokenizer.',
  },
  'model-unreadable': {
    what: 'The engine’s user cannot read the model.',
    meaning: 'The engine runs with few rights, and these files are closed to it.',
    next: 'Open them: `chmod -R a+rX <folder>`.',
  },
  'model-changed': {
    what: 'The engine sees, or has loaded, other files than those that were digested as the model.',
    meaning: 'What it would compute is not the model that the fingerprint names, so nothing of it is used.',
    next: 'Let nothing write to the model during a run; if a remote Docker daemon has a folder of its own under this path, put the same files there.',
  },
  'model-fetch-failed': {
    what: 'The hub did not give the model, or a file has another digest than the hub states.',
    meaning: 'The pinned model is not here whole, and no other was used in its place.',
    next: 'Check id, revision and network; for a gated model set `hub-token`.',
  },
  'platform-unsupported': {
    what: 'An engine was to be started on Windows, macOS or another system than Linux.',
    meaning: 'Nothing was started: the isolation of an engine, and what a fingerprint tells, are Linux’s.',
    next: 'Use a runner with Linux. Reports and records can be read anywhere.',
  },
  'runtime-unavailable': {
    what: 'The Python of the process runtime could not be started, or Docker refused the container.',
    meaning: 'The engine has no place to run in; this says nothing of the model.',
    next: 'Set the `python` input, or see what Docker itself says.',
  },
  'launcher-missing': {
    what: 'The program that `launcher` begins with is not on the runner.',
    meaning: 'The engine could not be taken anywhere, and nothing was started in its place.',
    next: 'Install it, or give its absolute path.',
  },
  'launcher-untrusted': {
    what: 'The machine that answered is not known to be the one that was asked for: its host key, or its certificate, is another one or unknown.',
    meaning: 'Whoever stands in for it could say whatever it computed, so nothing was sent.',
    next: 'Put its key into the runner’s `known_hosts`, by a way that nobody on the network can change.',
  },
  'launcher-refused': {
    what: 'The far side let this runner in by none of its keys or tokens.',
    meaning: 'Nothing was started there; nobody is asked for a password.',
    next: 'Give the runner’s user a key, an agent or a token, and try the same command by hand.',
  },
  'launcher-unreachable': {
    what: 'The launcher could not reach the far side.',
    meaning: 'Nothing was started there; this says nothing of the model.',
    next: 'Check its name and the network, and try the same command on the runner by hand.',
  },
  'launcher-failed': {
    what: 'The launcher ended, or gave no `sh`, before anything ran on the far side.',
    meaning: 'Nothing was measured; the last lines are the launcher’s own.',
    next: 'Try the same command with `sh` behind it on the runner by hand.',
  },
  'launcher-lost': {
    what: 'The launcher ended in the middle of the run, without the far side’s word that it is done.',
    meaning:
      'What was computed until then does not count. What ran there ends once its stdin does, at its deadline at the latest.',
    next: 'Run again; see the far side’s own log for what broke the line.',
  },
  'launcher-moved': {
    what: 'The launcher took a later engine start of the run to another machine than the first one.',
    meaning: 'A record is of one machine: what two of them computed says nothing of whether either repeats.',
    next: 'Let the launcher name one machine, or make one allocation for the whole run.',
  },
  'isolation-unavailable': {
    what: 'The process runtime cannot keep the engine from what the job knows, and that was asked for or a `hub-token` is at stake.',
    meaning:
      'An engine could read tokens out of the processes and files of its own user, so it was not started.',
    next: 'Do what the message says, or use Docker; docs/security.md tells what isolation takes.',
  },
  'docker-unavailable': {
    what: 'No Docker daemon answers, it was lost in the middle of the run, or this user may not talk to it.',
    meaning:
      'A container was asked for, and nothing else was started in its place; what an engine had computed until then does not count.',
    next: 'Start the daemon, or add the runner’s user to the `docker` group; on ARC without a daemon run the job in the pinned image and set `runtime: process`.',
  },
  'image-not-pinned': {
    what: 'The image is a tag, or the suite names none.',
    meaning: 'A tag can mean other bytes tomorrow: a drift could not be told from a new image.',
    next: 'Pin it: `docker buildx imagetools inspect <image>` shows the digest.',
  },
  'image-pull-failed': {
    what: 'The registry refused, does not know the image, or cannot be reached.',
    meaning: 'The pinned image is not on this machine, so no engine was started.',
    next: 'Log in on the runner (`docker login`), and check name and digest.',
  },
  'image-mismatch': {
    what: 'What was pulled is not what was pinned, or is for another architecture.',
    meaning: 'What it computes would not be what the suite names, so it was not started.',
    next: 'Pin the digest for this platform.',
  },
  'gpu-unavailable': {
    what: 'The suite asks for GPUs, and the container or the engine cannot have them.',
    meaning: 'On other hardware the numbers would be others, so nothing was measured there.',
    next: 'Try `nvidia-smi` on the runner, and install the NVIDIA Container Toolkit.',
  },
  'gpu-in-doubt': {
    what: 'A GPU shows a sign that refuses to make a baseline of what it computes.',
    meaning:
      'A check may go on with a warning; what others are held against for weeks may not. Nothing was stored.',
    next: 'Do what the message says of the sign, mostly a reset, and refresh again; docs/health.md lists them all.',
  },
  'engine-missing': {
    what: 'The image or Python lacks the engine.',
    meaning: 'Nothing is installed on the way: that would not be the pinned environment.',
    next: 'Use one that has it.',
  },
  'engine-rejected': {
    what: 'The engine refused an argument or a sampling parameter; its own sentence and the nearest known name are shown.',
    meaning: 'This version of the engine cannot do what the suite asks for.',
    next: 'Correct `engine.args` or `sampling`.',
  },
  'prompt-rejected': {
    what: 'The model’s tokenizer or chat template cannot take some prompts: no template, one that fails or ignores their tools, no token, an unknown one, too many, or no such adapter. Each has its line.',
    meaning: 'It was found before any weights were read; nothing was measured.',
    next: 'Change the prompts, or the model.',
  },
  'engine-died': {
    what: 'The engine’s process ended of a signal or with an exit code; its last lines are shown.',
    meaning: 'It had not answered, so nothing is known of its bits.',
    next: 'After `SIGILL`, look for an instruction that the CPU lacks or a setting forbids; otherwise the last lines name the cause.',
  },
  'engine-hung': {
    what: 'The engine gave no sign of life for `inactivity-minutes`.',
    meaning: 'It was stopped, since it would have kept the GPU; whether it would have answered is not known.',
    next: 'See its last lines, and raise the input if loading really takes that long.',
  },
  'engine-out-of-memory': {
    what: 'The device or the container ran out of memory.',
    meaning: 'Model, cache and batch do not fit together; nothing was measured.',
    next: 'Lower what the engine keeps (the error names its arguments), or raise `runtime.memory`.',
  },
  'engine-failed': {
    what: 'The engine raised an error of its own.',
    meaning: 'It did not finish its work, and half of it is not compared.',
    next: 'Read its message and its log.',
  },
  'script-invalid': {
    what: 'A file that the engine `script` is to run is missing, too large, outside the repository or not UTF-8, cannot be imported, or has no function that can be called so.',
    meaning: 'Nothing was called, so nothing was measured.',
    next: 'Correct the file, or `file`, `files`, `function` and `options` under `engine.args`; what it imports beside the image’s packages belongs under `files`.',
  },
  'script-failed': {
    what: 'The function of a script raised an error, emitted nothing, a name twice, or what is no text, number or tensor.',
    meaning: 'It did not finish its work for a prompt, and half of it is not compared.',
    next: 'Correct the function at the line that the message names; docs/engines.md has what it may emit.',
  },
  'engine-not-as-asked': {
    what: 'The running engine says that something is not in force which was asked for and which a verdict stands on: eager mode, deterministic algorithms, batch invariance.',
    meaning: 'What it computes would be held to a promise that nobody made; nothing was measured.',
    next: 'Take it out of the suite, or use a version and a device of the engine that have it.',
  },
  'endpoint-unavailable': {
    what: 'The endpoint could not be reached, answered 429 or 5xx, or cut its answers off, each time it was asked.',
    meaning: 'Several tries, as far apart as it asked for, came to nothing; this says nothing of the model.',
    next: 'Try again later, ask for less, or see to the endpoint and the network.',
  },
  'endpoint-refused': {
    what: 'The endpoint takes neither the key, the model’s name nor a field of the request, or redirects elsewhere; or the key would travel in the clear.',
    meaning: 'It would say no again, so it was asked once, and nothing was sent to another address.',
    next: 'Check `url`, `model.served`, `sampling` and `endpoint-key`.',
  },
  'endpoint-broken': {
    what: 'The endpoint gave an answer that cannot be: no JSON, other tokens than its own ids, more of them than were asked for, the key itself.',
    meaning: 'Compared, it would look like a model that changed, so nothing of it is used.',
    next: 'See what answers at `url`, and what stands in between.',
  },
  'protocol-violation': {
    what: 'The harness broke its protocol.',
    meaning: 'What it said cannot be trusted, so nothing of the run is used.',
    next: 'Report it with the engine’s log.',
  },
  'deadline-exceeded': {
    what: 'The engine, or the fetch of its model, was not done after `timeout-minutes`.',
    meaning: 'It was stopped, and half of its work is not compared.',
    next: 'Raise the input, or ask for fewer prompts or tokens.',
  },
  cancelled: {
    what: 'The run was cancelled.',
    meaning: 'Everything that it started is stopped, and nothing is known of the bits.',
    next: 'Start it again.',
  },
  'disk-full': {
    what: 'The record, the model, the image, kept caches or the container’s `/tmp` found no space.',
    meaning: 'Nothing half-written was kept.',
    next: 'Free space on the runner.',
  },
  'record-invalid': {
    what: 'A record is damaged or of another version.',
    meaning: 'It proves nothing any more, so it is neither compared nor stored.',
    next: 'Make it again.',
  },
  'record-too-large': {
    what: 'What the engine told is more than a record may hold.',
    meaning: 'Nothing of it is kept: neither a disk nor a reader is to be filled by an engine.',
    next: 'Ask for fewer prompts, tokens or relations in one suite.',
  },
  'baseline-invalid': {
    what: 'A baseline is damaged, or is not what its key says.',
    meaning: 'It cannot be trusted, and no older one is taken silently in its place.',
    next: 'Refresh it; if nobody damaged it by accident, find out who can write to the store.',
  },
  'baseline-missing': {
    what: 'There is no baseline on this hardware class, and `bisect` needs one.',
    meaning: 'What moved is told by comparing with what is trusted: no model was loaded.',
    next: 'Run it on a machine of a class that has one (the message names them), or refresh first.',
  },
  'report-invalid': {
    what: 'A report is no report, of another version, or larger than 64 MiB.',
    meaning: 'There is nothing whose verdict could be derived anew.',
    next: 'Name the `….report.json` that a run left beside its record.',
  },
  'reports-missing': {
    what: 'Mode `report` found fewer reports than it was to show.',
    meaning: 'What is missing was not measured, or not handed over: the others must not stand for it.',
    next: 'See the log of the job that left none, and that what the jobs upload is what this one downloads.',
  },
  'import-invalid': {
    what: 'A file that was to be imported is broken, too large, half, or nobody’s.',
    meaning: 'Nothing of the folder was imported: half of it would be explained as if it were all.',
    next: 'Correct the lines that the message names, or take the files out of the folder.',
  },
  'records-missing': {
    what: 'There is no record where `explain` was to look, or nothing that `import` can read.',
    meaning: 'Nothing was looked at, so that nothing is explained.',
    next: 'Name folders that hold records, at any depth: `import` makes such of other programs’ results.',
  },
  'report-unverified': {
    what: 'A report does not follow from its record, was changed, contradicts itself, or comes from a fork and has no record beside it.',
    meaning: 'Nobody knows that an engine gave these bits, so nothing was accepted.',
    next: 'Take the report and the record as the run left them; `verify` tells what differs.',
  },
  'acceptance-refused': {
    what: 'What a report shows cannot be accepted by a line in the suite, or is accepted already.',
    meaning:
      'An acceptance lets one drift pass, of exactly one record that comes again: the suite was left as it is.',
    next: 'Do what the message says; docs/baselines.md has both ways to a new baseline.',
  },
  'suite-changed': {
    what: 'The suite of the checkout is another one than the report’s.',
    meaning: 'It gives another record, which the line would not let pass: nothing was written.',
    next: 'Check out what was checked, or accept what a new check reports.',
  },
  'file-exists': {
    what: 'A file that `init` would write is there already and is another one, or is a link.',
    meaning: 'Nothing is overwritten unasked: nothing was written at all.',
    next: 'Compare it with what was shown; move it away, or use `--force`.',
  },
  'store-unavailable': {
    what: 'The store of baselines did not answer, or the runner offers no cache service.',
    meaning: 'Whether there is a baseline is not known, and an outage is not `no-baseline`.',
    next: 'Try again, or keep baselines in the repository: `baseline: { store: files }`.',
  },
  'store-refused': {
    what: 'The store did not take the baseline.',
    meaning: 'The old baseline is still the one that counts.',
    next: 'See the reason: a read-only token, a full quota, a key that exists.',
  },
  'refresh-not-allowed': {
    what: 'This event, or this branch, may not write a baseline.',
    meaning:
      'No change approves itself: only what is merged, or asked for with a reason, becomes a baseline.',
    next: 'Refresh by `workflow_dispatch` on the default branch; docs/baselines.md has the whole table.',
  },
  'event-refused': {
    what: 'This is an event on which nothing is started, such as `pull_request_target`.',
    meaning:
      'It would run a stranger’s change with the repository’s rights, keep its GPU busy, or does not say who judges.',
    next: 'Use `on: pull_request`.',
  },
  'pull-request-limited': {
    what: 'A pull request wants what only its base branch may decide: a folder of the runner; from a fork, also image and model; where it moves the suite, also which prompts are taken away.',
    meaning:
      'A proposal must not choose what runs on your machine, nor what it is compared by, so no model was loaded.',
    next: 'Merge that first, or bring the change into a branch of the repository.',
  },
  'github-unavailable': {
    what: 'GitHub’s API did not answer, or may not be asked.',
    meaning: 'Who judges, or where a baseline lies, is not known, and nothing was assumed.',
    next: 'Try again, or grant the permission that the message names.',
  },
  'internal-error': {
    what: 'This action itself failed.',
    meaning: 'This is a bug of the action, and says nothing of your model.',
    next: 'Report it with the stack.',
  },
};
