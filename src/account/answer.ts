import type { Html } from './html.ts';

/** The answer of the page. The gateway adds the headers that do not depend on the page. */
export interface AccountAnswer {
  readonly status: number;
  readonly type?:
    | 'text/html; charset=utf-8'
    | 'text/css; charset=utf-8'
    | 'text/javascript; charset=utf-8'
    | 'application/json'
    | 'application/scim+json';
  readonly body?: string;
  readonly location?: string;
  readonly cookies?: readonly string[];
}

export function pageAnswer(page: Html, status = 200, cookies: readonly string[] = []): AccountAnswer {
  return { status, type: 'text/html; charset=utf-8', body: `<!doctype html>\n${page}\n`, cookies };
}

/** The browser makes a GET of it, whatever the method was. */
export function redirectTo(location: string, cookies: readonly string[] = []): AccountAnswer {
  return { status: 303, location, cookies };
}
