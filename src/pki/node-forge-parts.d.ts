// The types of node-forge lack these parts.
declare module 'node-forge' {
  namespace asn1 {
    /** Parses DER. By default the content of a BIT STRING is decoded too. */
    function fromDer(bytes: util.ByteBuffer, options: { readonly decodeBitStrings: boolean }): Asn1;
  }
  namespace pki {
    /** Makes the extensions in their `[3]` envelope, as a TBSCertificate has them. */
    function certificateExtensionsToAsn1(extensions: readonly unknown[]): asn1.Asn1;
  }
}
