import type { Report } from '../report/schema.ts';

type Fact = Pick<Report['changes'][number], 'half' | 'field'>;

/** Whether the repository asks for something else: what the engine makes of it only follows. */
export const isAsked = ({ half, field }: Fact) =>
  half === 'declared' && !field.startsWith('engine.effective.');

/** Whose doing a changed fact is. What an engine made of what was asked nobody wrote into the repository. */
export const ownerOf = (fact: Fact): 'repository' | 'engine' | 'runner' =>
  fact.half === 'ambient' ? 'runner' : isAsked(fact) ? 'repository' : 'engine';
