export default {
  // The package's native part cannot be bundled.
  serverExternalPackages: ['@flagbearer/native'],
  // This folder is the root, whatever lock files lie above it.
  turbopack: { root: import.meta.dirname },
}
