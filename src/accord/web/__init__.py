"""The site: people judge, watch, and talk to the model.  Renders the store; never imports torch."""
