// What the test tells these programs; declared by hand, so that no package of types is needed.
declare const process: { env: Record<string, string | undefined> };

export function environment(name: string): string {
    const value = process.env[name];
    if (value === undefined) throw new Error(`${name} is not set`);
    return value;
}

export function picture(name: string): File {
    return new File([Uint8Array.from(atob(environment("PICTURE")), (char) => char.charCodeAt(0))], name);
}
