/**
 * Makes text of foreign origin (a server's answer, a key, a file name) fit for a log line or a message: one line,
 * no control characters, nothing that the runner would execute. It executes `::cmd::` at the start of a line and
 * `##[cmd]` anywhere in one (actions/runner, ActionCommand.cs); a signed URL's signature is a secret.
 */
export function plain(text: string, length = 300): string {
  const line = text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .replace(/([?&](?:sig|se|skoid|token)=)[^&\s"']+/g, '$1***')
    .replaceAll('##[', '# #[')
    .replaceAll('::', ': :')
    .trim();
  return line.length > length ? `${line.slice(0, length)}…` : line;
}
