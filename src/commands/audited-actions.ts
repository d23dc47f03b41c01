import { AUDITED_ACTIONS } from '../registry/action.ts';

/** The actions of which `hubgate audit` can list the lines alone. */
export const LISTED_ACTIONS: readonly string[] = AUDITED_ACTIONS;
