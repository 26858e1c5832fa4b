import manifest from '../package.json' with { type: 'json' };

/** Of this tool; kept with every record and baseline. */
export const VERSION: string = manifest.version;
