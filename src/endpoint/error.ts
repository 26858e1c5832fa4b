/** What a server did, or did not do. Told by the harness's protocol, which names the remedy. */
export class EndpointError extends Error {
  readonly code: 'endpoint-unavailable' | 'endpoint-refused' | 'endpoint-broken';
  /** Of an answer that refused; undefined where the server is not what said no. */
  readonly status: number | undefined;

  constructor(code: EndpointError['code'], message: string, status?: number) {
    super(message);
    this.code = code;
    this.status = status;
  }
}
