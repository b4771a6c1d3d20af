"""HTTP: the API for back ends, the document that describes it, health, metrics, and the web pages.

``endpoint`` says how an endpoint is declared, ``api`` declares them all, ``serving`` makes routes of them and
``openapi`` the document; ``problems`` turns every refusal into a problem document.
"""
