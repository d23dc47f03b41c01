import { escapeControlsInLines } from '../platform/escape-controls.ts';

/** Text that is HTML already. Only `html` makes it, so no text of others becomes HTML unescaped. */
export class Html {
  readonly #text: string;

  constructor(text: string, key: typeof OWN) {
    if (key !== OWN) throw new Error('only a template makes HTML');
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

const OWN = Symbol('html');

/** A text is escaped. An absent value and `false` are nothing. */
export type HtmlValue = string | number | Html | readonly Html[] | undefined | false;

/**
 * Makes HTML of a template. Every value is escaped for an element and for an attribute in quotation marks,
 * which are the only two places that a template may have for one.
 */
export function html(texts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  const parts = texts.map((text, index) => (index < values.length ? text + written(values[index]) : text));
  return new Html(parts.join(''), OWN);
}

function written(value: HtmlValue): string {
  if (value === undefined || value === false) return '';
  if (value instanceof Html) return value.toString();
  if (typeof value === 'object') return value.map(String).join('');
  return escapeHtml(String(value));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Characters that change the direction of the text around them are written as JSON escapes. */
function escapeHtml(text: string): string {
  return escapeControlsInLines(text).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
