/** Returns a name that a canonical pattern matches, if the caller's name is `user`. */
export function exampleOf(pattern: string, user = 'user'): string {
  return pattern.replaceAll('${user}', () => user).replaceAll(/\*+/g, 'x');
}
