pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}
dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
        // Where `bindings/mobile/test/run` installs the Kotlin package.
        mavenLocal()
    }
}
rootProject.name = "assistant"
include(":app", ":native")
