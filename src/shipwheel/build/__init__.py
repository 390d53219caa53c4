"""From a project to images: plan, assemble, prove, deliver."""
