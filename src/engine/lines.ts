/**
 * Splits a byte stream into lines without their newline. A line longer than `maxBytes` is dropped and yielded
 * as an empty one: no printer can make this process keep more than that.
 */
export async function* lines(
  stream: AsyncIterable<Buffer | string>,
  maxBytes: number,
): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let size = 0;
  const flush = (): Buffer => {
    const line = size > maxBytes ? Buffer.alloc(0) : Buffer.concat(parts);
    parts = [];
    size = 0;
    return line;
  };
  const add = (part: Buffer): void => {
    size += part.length;
    if (size > maxBytes) parts = [];
    else parts.push(part);
  };
  for await (const chunk of stream) {
    let rest = Buffer.from(chunk);
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      add(rest.subarray(0, end));
      yield flush();
      rest = rest.subarray(end + 1);
    }
    add(rest);
  }
  if (size > 0) yield flush();
}
