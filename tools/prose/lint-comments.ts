/** The width of a line, `lineWidth` of biome.json. The formatter wraps code, and leaves comments alone. */
const WIDTH = 110;

/** A line that is only a comment, or a part of one. */
const COMMENT = /^\s*(\/\/|\/?\*)/;

/** Returns the lines of comments in a source text that are too wide. */
export function lintComments(text: string): readonly string[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      line.length > WIDTH && COMMENT.test(line)
        ? [`${index + 1}: a comment has ${line.length} columns, and may have ${WIDTH}`]
        : [],
    );
}
