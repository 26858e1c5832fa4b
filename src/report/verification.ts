/** What the report says otherwise than its files do. Text of both sides is inert and capped. */
export interface Disagreement {
  readonly path: string;
  readonly reported: string;
  readonly derived: string;
}

/** What came of making a report anew from its record and baseline. */
export interface Verification {
  readonly agrees: boolean;
  readonly checked: {
    /** Files that were compared by digest. */
    readonly files: number;
    /** Bodies that were opened and digested anew, of record and baseline. */
    readonly bodies: number;
    readonly relations: number;
    readonly findings: number;
  };
  readonly disagreements: readonly Disagreement[];
  /** All of it for a terminal. */
  readonly lines: readonly string[];
}
