/**
 * The few elements of S3's answers that are used here. None of them is nested in another one of its name, and
 * none has attributes.
 */
export function* elements(xml: string, name: string): Generator<string, void> {
  const [begin, end] = [`<${name}>`, `</${name}>`];
  for (let at = 0; ; ) {
    const from = xml.indexOf(begin, at);
    const to = from === -1 ? -1 : xml.indexOf(end, from);
    if (to === -1) return;
    yield xml.slice(from + begin.length, to);
    at = to + end.length;
  }
}

/** Returns the text of the first element of a name. */
export function elementText(xml: string, name: string): string | undefined {
  const [first] = elements(xml, name);
  return first === undefined ? undefined : unescaped(first);
}

const ENTITIES = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#34;': '"', '&apos;': "'", '&#39;': "'" };

function unescaped(text: string): string {
  let plain = text;
  for (const [entity, character] of Object.entries(ENTITIES)) plain = plain.replaceAll(entity, character);
  return plain.replaceAll('&amp;', '&');
}

/** Returns the body of the request that puts the parts of an object together. */
export function formatParts(tags: readonly string[]): string {
  const parts = tags.map(
    (tag, index) =>
      `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag.replaceAll('"', '&quot;')}</ETag></Part>`,
  );
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join('')}</CompleteMultipartUpload>`;
}
