/** How the name of every report ends: before it stands the folder of its record. */
export const REPORT_SUFFIX = '.report.json';

/** Where a record's report lies. */
export const reportPathOf = (recordPath: string) => `${recordPath}${REPORT_SUFFIX}`;

/** The folder of the record that a report lies beside; of what is no report's path, the path itself. */
export const recordPathOf = (path: string) =>
  path.endsWith(REPORT_SUFFIX) ? path.slice(0, -REPORT_SUFFIX.length) : path;
